-- PUBLIC may run process_event, and nothing else. The schema gives no access to anybody but its
-- owner; the functions in it act as the owner, so EXECUTE on one of them is the whole permission.

REVOKE ALL ON SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA posthog_plugins FROM PUBLIC;
