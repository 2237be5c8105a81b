// `meta.geoip`: what a database of the server's knows of an address.
(function (locate) {
  const { parse } = JSON;
  return {
    async locate(address) {
      const found = locate(`${address}`);
      return found === undefined ? null : parse(found);
    },
  };
});
