-- What an identity may do beyond its work: grants that are, or may be, more than limited.
CREATE TEMP TABLE granted AS
SELECT identity_uid,
       count(*) FILTER (power IS NOT NULL) AS admin_grants,
       count(*) FILTER (power IS NULL) AS unread_grants,
       CASE WHEN bool_or(power = 'administrator') THEN 'is an administrator' ELSE 'can become an administrator' END AS admin_power,
       string_agg(DISTINCT role || coalesce(' [' || rule || ']', ''), ', ' ORDER BY role || coalesce(' [' || rule || ']', '')) FILTER (power IS NOT NULL) AS admin_roles,
       string_agg(DISTINCT role, ', ' ORDER BY role) FILTER (power IS NULL) AS unread_roles
FROM grants WHERE power IS DISTINCT FROM 'limited' GROUP BY identity_uid;    -- the many harmless ones say nothing

-- Kinds of identity that hold powers over a whole scope: a listing of them that is missing may hide an administrator.
CREATE TEMP TABLE administrators_are AS FROM (VALUES
    ('aws',   ['user', 'role']),
    ('azure', ['user', 'service-principal', 'foreign-principal', 'partner-tenant', 'lighthouse-delegation']),
    ('gcp',   ['service-account', 'member']),
    ('vault', ['entity', 'approle', 'auth-role', 'user', 'token'])
) AS administrators_are(provider, kinds);
