-- PUBLIC may run process_event, and nothing else. The schema gives no access to anybody but its
-- owner; the functions in it act as the owner, so EXECUTE on one of them is the whole permission. But
-- attach and detach act as the caller, who has to own the table, and needs EXECUTE on process_row.

REVOKE ALL ON SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA posthog_plugins FROM PUBLIC;
