-- Facts of scopes: how each was read, who administers it, and whom it was read as where that is nobody who was read.

-- Who may administer, and on whose side they are: a partner's, the customer's (''), or not known (null). Aggregated, since many are on one side.
-- `here`: the place that is administered, '' for the scope as a whole, a subscription of a tenant else. `below`: whether it holds for places under it,
-- `sure` or `maybe`. Left out: the root user of an AWS account and what a Global Administrator of Entra could make of a subscription, as ways back in
-- that nobody works with; and whoever can become an administrator, but is none.
CREATE TEMP TABLE sides AS
WITH
powers AS (
    SELECT provider, scope, identity_uid AS uid, coalesce(power = 'administrator', FALSE) AS is_sure, CASE WHEN power IS NULL THEN 'policy not read: ' || role END AS why,
           CASE WHEN provider = 'gcp' AND resource <> '*' THEN NULL         -- a folder is not the organization
                WHEN provider <> 'azure' OR NOT starts_with(resource, '/') THEN ''
                ELSE nullif(regexp_extract(lower(resource), '^/subscriptions/([^/]+)/?$', 1), '') END AS here,
           CASE WHEN provider = 'gcp' AND scope LIKE 'organizations/%' THEN CASE WHEN resource = '*' THEN 'sure' ELSE 'maybe' END
                WHEN provider = 'azure' AND resource = '/' THEN 'sure'
                WHEN provider = 'azure' AND starts_with(lower(resource), '/providers/microsoft.management/managementgroups/') THEN 'maybe' END AS below
    FROM grants WHERE power = 'administrator' OR power IS NULL
),
unread AS (
    SELECT provider, scope, uid, FALSE AS is_sure, unknown['grants'] AS why, '' AS here, 'maybe' AS below FROM who WHERE unknown['grants'] IS NOT NULL
),
sided AS (
    SELECT h.provider, h.scope, h.here, h.below, h.is_sure AND coalesce(w.enabled, w.uid IS NULL) AS is_sure, coalesce(w.name, h.uid) AS name,
           CASE WHEN w.partner IS NOT NULL THEN w.partner
                -- nobody's partner, unless somebody outside of whom the register knows nothing may act as it
                WHEN w.workload IS NOT NULL OR (w.partner_why IS NULL AND o.outside_trusts IS NULL AND w.uid IS NOT NULL) THEN '' END AS side,
           CASE WHEN NOT h.is_sure THEN h.why WHEN w.uid IS NULL THEN 'the identity of an administrator was not read'
                WHEN w.enabled IS NULL THEN 'whether an administrator is enabled: ' || w.enabled_why
                ELSE coalesce('whose an administrator is: ' || w.partner_why, 'an administrator may be used by ' || o.outside_parties || ', of whom the register knows nothing') END AS why
    FROM (FROM powers UNION ALL BY NAME FROM unread) h
    LEFT JOIN who w ON w.uid = h.uid
    LEFT JOIN outside o ON o.identity_uid = h.uid
    WHERE (h.here IS NOT NULL OR h.below IS NOT NULL) AND w.enabled IS DISTINCT FROM FALSE AND w.provider_managed IS DISTINCT FROM TRUE
      AND NOT (h.provider = 'aws' AND coalesce(w.native_id = h.scope, FALSE))
)
SELECT provider, scope, here, below, is_sure, side, count(DISTINCT name) > 5 AS has_more, min(name, 5) AS names, min(why) AS why
FROM sided GROUP BY ALL
UNION ALL BY NAME    -- a listing that is missing hides administrators
SELECT c.provider, c.scope, '' AS here, CASE c.provider WHEN 'azure' THEN 'maybe' END AS below, FALSE AS is_sure, min(c.operation || ': ' || coalesce(c.error, c.state)) AS why
FROM coverage c JOIN administrators_are a ON a.provider = c.provider AND list_has_any(c.covers, a.kinds)
WHERE c.state <> 'complete' GROUP BY c.provider, c.scope
UNION ALL BY NAME
SELECT provider, scope, '' AS here, FALSE AS is_sure, why FROM given_above;

CREATE TEMP TABLE places AS
SELECT provider, scope, '' AS place,
       CASE provider WHEN 'aws' THEN 'account' WHEN 'azure' THEN 'tenant' WHEN 'vault' THEN 'namespace'
                     ELSE CASE WHEN scope LIKE 'organizations/%' THEN 'organization' ELSE 'project' END END AS kind,
       regexp_replace(scope, '^organizations/', '') AS id,
       CASE WHEN NOT bool_or(state IN ('complete', 'partial')) THEN 'it was not read: ' || coalesce(min(reason), min(state)) END AS unread_why
FROM scopes
WHERE provider IN ('aws', 'azure', 'gcp', 'vault') AND NOT passed_over    -- an export beside a live source says nothing of it
  AND (scope <> source OR provider = 'vault')                               -- a source that could not say which it has
GROUP BY provider, scope
UNION ALL
SELECT DISTINCT provider, scope, here, 'subscription', here, NULL FROM sides WHERE here <> '';

CREATE TEMP TABLE administered AS
WITH
above AS (SELECT DISTINCT p.provider, p.scope, o.scope AS organization
          FROM scopes p JOIN scopes o USING (provider, source) WHERE provider = 'gcp' AND o.scope LIKE 'organizations/%' AND p.scope <> o.scope),
each AS (
    SELECT provider, scope, here AS place, is_sure, side, has_more, names, why FROM sides WHERE here IS NOT NULL
    UNION ALL
    SELECT s.provider, s.scope, p.place, s.is_sure AND s.below = 'sure', s.side, s.has_more, s.names, coalesce(s.why, 'who administers the management groups above it')
    FROM sides s JOIN places p ON p.provider = s.provider AND p.scope = s.scope AND p.place <> '' WHERE s.below IS NOT NULL AND s.provider = 'azure'
    UNION ALL
    SELECT s.provider, a.scope, '', s.is_sure AND s.below = 'sure', s.side, s.has_more, s.names, coalesce(s.why, 'whether it lies in a folder that others administer')
    FROM sides s JOIN above a ON a.provider = s.provider AND a.organization = s.scope WHERE s.below IS NOT NULL
),
counted AS (
    SELECT provider, scope, place, list_sort(list_distinct(flatten(list(names) FILTER (is_sure)))) AS names, bool_or(has_more) FILTER (is_sure) AS has_more,
           coalesce(bool_or(is_sure AND side = ''), FALSE) AS has_own, count(DISTINCT side) FILTER (is_sure AND side <> '') AS partners,
           min(side) FILTER (is_sure AND side <> '') AS partner, bool_or(is_sure AND side IS NULL) AS is_unclear,
           min(why) FILTER (side IS NULL OR NOT is_sure) AS why
    FROM each GROUP BY provider, scope, place
),
others AS (                                         -- who may administer it too, beside the one partner
    SELECT e.provider, e.scope, e.place, min(e.why) AS why
    FROM each e JOIN counted c USING (provider, scope, place) WHERE NOT e.is_sure AND e.side IS DISTINCT FROM c.partner GROUP BY ALL
)
SELECT c.*, CASE WHEN c.has_own OR c.partners > 1 THEN TRUE WHEN c.partners = 1 AND NOT c.is_unclear AND o.place IS NULL THEN FALSE END AS is_shared,
       coalesce(o.why, c.why) AS others_why
FROM counted c LEFT JOIN others o USING (provider, scope, place);

SELECT s.provider || ':' || s.scope || ':source/' || s.source AS subject, 'scope' AS subject_kind, 'source' AS kind, s.provider, s.scope,
       s.source AS identity_name, NULL::VARCHAR AS partner,
       TRUE AS was_expected, s.state = 'complete' AS fully_read, s.state AS reading, s.reason AS reading_reason,
       FALSE AS is_administered, NULL::BOOLEAN AS administration_is_shared, NULL::VARCHAR AS administrators, NULL::VARCHAR AS administrators_why,
       FALSE AS is_own, NULL::VARCHAR AS caller, NULL::BIGINT AS own_fault_count, NULL::VARCHAR AS own_faults, NULL::VARCHAR AS own_why
FROM scopes s
UNION ALL BY NAME
SELECT p.provider || ':' || p.scope || ':' || p.kind || '/' || p.id AS subject, 'scope' AS subject_kind, p.kind, p.provider, p.scope, p.id AS identity_name,
       CASE WHEN NOT a.is_shared THEN a.partner END AS partner, FALSE AS was_expected, FALSE AS is_own,
       CASE WHEN len(a.names) > 0 THEN TRUE WHEN a.place IS NOT NULL OR p.unread_why IS NOT NULL THEN NULL ELSE FALSE END AS is_administered,
       a.is_shared AS administration_is_shared,
       array_to_string(a.names[1:5], ', ') || CASE WHEN a.has_more OR len(a.names) > 5 THEN ' and others' ELSE '' END AS administrators,
       coalesce(p.unread_why, a.others_why) AS administrators_why
FROM places p LEFT JOIN administered a USING (provider, scope, place)
UNION ALL BY NAME
SELECT provider || ':' || scope || ':caller/' || caller AS subject, 'scope' AS subject_kind, 'caller' AS kind, provider, scope, caller AS identity_name,
       FALSE AS was_expected, FALSE AS is_administered, TRUE AS is_own, caller, 'whoever reads it is not among the identities that were read' AS own_why
FROM own_unread;
