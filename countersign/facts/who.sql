-- The environment of a scope, where the customer's policies list it; the first by name, where two do.
CREATE TEMP TABLE environments AS
SELECT s.provider, s.scope, min(e.environment) AS environment
FROM (SELECT DISTINCT provider, scope FROM scopes) s JOIN register_environments e ON e.provider = s.provider AND s.scope GLOB e.scope
GROUP BY s.provider, s.scope;

-- Every identity with whose it is, who answers for it, and the policy it is under.
CREATE TEMP TABLE who AS
SELECT i.* EXCLUDE (tags, aliases), a.partner, a.partner_how, a.workload, w.owner, w.backup_owner, w.accountable, w.owner_named, w.owner_is_live,
       a.partner_evidence, a.has_evidence, a.contradicts, a.lineage_partner, a.lineage, a.lineage_depth, a.lineage_why,
       w.expiry_is_declared, w.expires_on AS workload_expires_on, w.expires_at AS workload_expires_at, p.contract_ends_at, p.contract_ends_on, run.as_of,
       coalesce(wp.policy, w.policy, d.policy) AS policy,     -- the workload's own limits, else those of its partner; in the environment that the workload names, else that of its scope
       -- a report as old at the reading as this is as old at as_of, which may be another time than the reading's
       epoch_us(run.as_of) - CASE WHEN i.use_seen_to < run.as_of THEN greatest(epoch_us(i.observed_at) - epoch_us(i.use_seen_to), 0) ELSE 0 END AS seen_us,
       NOT i.provider_managed AS ours,
       -- idle time runs from the last use, or from creation when it was never used; unknown use is still no older than creation
       CASE i.last_active_state WHEN 'known' THEN greatest(i.last_active_at, i.created_at) WHEN 'never' THEN i.created_at END AS active_at,
       coalesce(i.unknown['enabled'], CASE WHEN i.enabled IS NULL THEN 'the source does not say whether it is enabled' END) AS enabled_why,
       coalesce(i.unknown['track'], CASE WHEN i.track IS NULL THEN 'nothing says whether a person or a program uses it' END) AS track_why,
       -- nobody's by what is known, and perhaps somebody's by whom it trusts or who created it; a provider that never names creators
       -- leaves nothing open (lineage.sql): else nobody's identity would ever be known to be nobody's
       CASE WHEN a.workload IS NULL AND a.partner IS NULL THEN coalesce(i.unknown['trusts'], a.lineage_why) END AS partner_why
FROM identities i CROSS JOIN run
LEFT JOIN attribution a USING (uid)
LEFT JOIN register_workloads w ON w.workload = a.workload
LEFT JOIN register_partners p ON p.partner = a.partner
LEFT JOIN environments e ON e.provider = i.provider AND e.scope = i.scope
LEFT JOIN register_scope_policies wp ON wp.workload = a.workload AND wp.environment = e.environment
LEFT JOIN register_default_policies d ON d.partner = coalesce(a.partner, '') AND d.environment = coalesce(e.environment, '');

-- When what a plan took away was out of use at the latest: what its sessions had left, and what use may show up late, is no use after it.
CREATE TEMP TABLE taken AS
SELECT subject, min(until) AS until, arg_min(plan, (until, plan)) AS plan, arg_min(since, (until, plan)) AS since
FROM (SELECT *, since + to_microseconds(lasts_us + coalesce((SELECT max(grace_us) FROM register_policies), 0)) AS until FROM revoked) GROUP BY subject;
