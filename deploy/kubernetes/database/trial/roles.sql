-- Two roles for the database of the gates: one makes and changes the tables (`forgetgate store migrate`), the other
-- only reads and writes rows. Run it once, before the first migration, in that database and as one who may make
-- roles:
--
--   OWNER_PASSWORD=… GATE_PASSWORD=… psql 'postgres://admin@db.example/forgetgate' -v ON_ERROR_STOP=1 -f roles.sql
--
-- It needs psql 14 or newer. The passwords are not written into this file.
\getenv owner_password OWNER_PASSWORD
\getenv gate_password GATE_PASSWORD
CREATE ROLE forgetgate_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE forgetgate LOGIN PASSWORD :'gate_password';
-- What has been acknowledged must survive a crash of the server, whatever its default is.
ALTER ROLE forgetgate SET synchronous_commit = on;
SELECT format('GRANT CREATE ON DATABASE %I TO forgetgate_owner', current_database()) \gexec
-- Whatever the one makes, the other may use: later tables, too. Whoever says this must be a member of the first.
GRANT forgetgate_owner TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES FOR ROLE forgetgate_owner GRANT USAGE ON SCHEMAS TO forgetgate;
ALTER DEFAULT PRIVILEGES FOR ROLE forgetgate_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO forgetgate;
ALTER DEFAULT PRIVILEGES FOR ROLE forgetgate_owner GRANT USAGE ON SEQUENCES TO forgetgate;
