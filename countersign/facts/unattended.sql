-- How people's identities are used: by the person at a keyboard, or by a program. Makes `attendance`: a row for each person.
-- Only AWS tells the two apart, by the password and the keys of a user. Nowhere does one reading show use round the clock.
CREATE TEMP TABLE attendance AS
WITH
people AS (SELECT uid, provider, scope, kind, console, as_of, policy, provider = 'aws' AND kind = 'user' AS is_told FROM who WHERE track = 'human'),
held AS (
    SELECT c.identity_uid AS uid, c.kind, c.kind = 'password' AS is_login, c.enabled, c.last_used_state AS state,
           CASE WHEN c.last_used_state = 'known' THEN c.last_used_at END AS used_at,
           -- the report is hours old at most; of what is older, nobody knows what was used since
           c.last_used_state = 'unknown' OR (c.use_seen_to < p.as_of AND epoch_us(c.observed_at) - epoch_us(c.use_seen_to) > 86400e6) AS is_dim,
           coalesce(c.unknown['last_used_at'], c.unknown['last_used_state'],
                    CASE WHEN c.last_used_state = 'unknown' THEN 'the source does not say when it was last used'
                         ELSE 'whether it was used in the days since the report is not known' END) AS dim_why,
           coalesce(c.unknown['enabled'], 'the source does not say whether it is enabled') AS enabled_why
    FROM credentials c JOIN people p ON p.uid = c.identity_uid WHERE p.is_told
),
used AS (
    SELECT uid,
           max(used_at) FILTER (NOT is_login AND enabled) AS program_at,
           arg_max(kind, (used_at, kind)) FILTER (NOT is_login AND enabled AND used_at IS NOT NULL) AS program_kind,
           min(CASE WHEN enabled AND is_dim THEN kind || ': ' || dim_why WHEN enabled IS NULL AND state <> 'never' THEN kind || ': ' || enabled_why END)
               FILTER (NOT is_login) AS program_why,
           count(*) FILTER (is_login) AS logins,
           max(used_at) FILTER (is_login) AS person_at,
           min(dim_why) FILTER (is_login AND is_dim) AS person_why
    FROM held GROUP BY uid
),
told AS (
    SELECT p.uid, p.is_told, p.as_of, l.max_idle_us, u.program_at, u.program_kind, u.person_at,
           coalesce(u.program_why, unlisted.why) AS program_why,
           coalesce(u.person_why, CASE WHEN coalesce(u.logins, 0) = 0 AND p.console IS DISTINCT FROM FALSE
                                       THEN 'when its password was last used was not told' END) AS person_why
    FROM people p LEFT JOIN used u USING (uid)
    LEFT JOIN register_policies l ON l.policy = p.policy AND l.track = 'human'
    LEFT JOIN unlisted ON unlisted.provider = p.provider AND unlisted.scope = p.scope AND unlisted.kind = p.kind
),
judged AS (
    SELECT *, CASE WHEN NOT is_told THEN NULL
                   WHEN epoch_us(as_of) - epoch_us(person_at) <= max_idle_us THEN FALSE
                   WHEN person_at IS NOT NULL AND max_idle_us IS NULL THEN FALSE
                   WHEN program_at IS NULL THEN CASE WHEN program_why IS NULL THEN FALSE END
                   WHEN epoch_us(program_at) - epoch_us(person_at) <= max_idle_us THEN CASE WHEN program_why IS NULL THEN FALSE END
                   WHEN person_why IS NULL THEN TRUE END AS is_programs
    FROM told
)
SELECT uid, is_programs, program_kind, program_at, person_at,
       -- the last login, seen from the last use by a program: the limit is that of idleness
       (epoch_us(program_at) - epoch_us(person_at)) // 86400000000 AS unattended_days,
       CASE WHEN is_programs IS NULL
            THEN CASE WHEN is_told THEN coalesce(person_why, program_why) ELSE 'the source does not tell a person''s use from a program''s' END END AS why
FROM judged;
