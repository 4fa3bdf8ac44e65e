-- Why what an identity logs in with may be incomplete.
CREATE TEMP TABLE unlisted AS
SELECT c.provider, c.scope, h.kind, string_agg(c.operation || ': ' || coalesce(c.error, c.state), '; ' ORDER BY c.operation) AS why
FROM coverage c JOIN may_hold h ON h.provider = c.provider AND list_has_any(c.covers, h.held)
WHERE c.state <> 'complete' GROUP BY c.provider, c.scope, h.kind;

-- What an organization gives counts for accounts in its projects, which are other scopes than where it is read.
CREATE TEMP TABLE given_above AS
WITH inherited AS (
    SELECT provider, source, 'what is given at the organization was not read: ' || string_agg(DISTINCT why, '; ' ORDER BY why) AS why FROM (
        SELECT provider, source, operation || ': ' || coalesce(error, state) AS why FROM coverage
        WHERE scope LIKE 'organizations/%' AND state <> 'complete' AND list_contains(covers, 'member')
        UNION ALL
        SELECT provider, source, reason FROM scopes WHERE scope LIKE 'organizations/%' AND state IN ('denied', 'failed')
    ) GROUP BY provider, source
)
SELECT s.provider, s.scope, any_value(i.why) AS why FROM scopes s JOIN inherited i USING (provider, source) GROUP BY s.provider, s.scope;
