-- Copies: a partner's principal that holds the same roles in several scopes. Makes `copies`: a row for each identity that is one of several,
-- or could be. A principal is the same where its provider says so: an application or another tenant by its id, a Google account by its mail address, a guest by
-- the address at home; elsewhere names are all there is, so it is the same user, or role for the same trusted account, of the same partner.
CREATE TEMP TABLE principals AS
WITH
doors AS (
    SELECT t.identity_uid AS uid, string_agg(DISTINCT t.party, ' ' ORDER BY t.party) AS parties
    FROM trusted t SEMI JOIN (FROM footprint WHERE partner <> '') f ON f.kind = t.party_kind AND f.party_key = t.party_key GROUP BY t.identity_uid
),
apps AS (
    SELECT uid, list_filter(aliases, lambda alias: regexp_matches(alias, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'))[1] AS app
    FROM identities WHERE provider = 'azure' AND kind = 'service-principal'
),
named AS (
    SELECT w.uid, w.provider, w.scope, w.kind, w.name, w.partner, w.enabled, w.unknown['trusts'] IS NOT NULL OR w.partner_why IS NOT NULL AS blind,
           w.unknown['grants'] IS NOT NULL AS roles_unread,
           CASE WHEN w.kind = 'service-principal' THEN a.app
                WHEN (w.provider = 'azure' AND w.kind = 'user') OR (w.provider = 'gcp' AND w.kind IN ('service-account', 'member')) THEN lower(w.name)
                WHEN w.provider = 'azure' AND w.kind IN ('partner-tenant', 'foreign-principal') THEN lower(w.native_id) END AS own_id,
           CASE WHEN w.provider = 'aws' AND w.kind IN ('user', 'role') OR w.provider = 'vault' AND w.kind IN ('user', 'entity', 'approle', 'auth-role')
                THEN w.kind || ' ' || coalesce(d.parties, w.partner, '') || ' ' || w.name END AS by_name
    FROM who w LEFT JOIN doors d USING (uid) LEFT JOIN apps a USING (uid) WHERE w.ours AND w.enabled IS NOT FALSE
)
SELECT *, provider || ' ' || coalesce(own_id, by_name) AS principal FROM named WHERE own_id IS NOT NULL OR (by_name IS NOT NULL AND (partner IS NOT NULL OR blind));

CREATE TEMP TABLE copies AS
WITH
-- those of which a partner has one at least, and that are in two scopes at least
several AS (
    SELECT principal FROM principals WHERE own_id IS NOT NULL OR partner IS NOT NULL
    GROUP BY principal HAVING min(scope) <> max(scope) AND bool_or(partner IS NOT NULL)
),
holders AS (
    SELECT p.*, r.roles FROM principals p SEMI JOIN several USING (principal)
    LEFT JOIN (SELECT identity_uid AS uid, list_sort(list(DISTINCT role)) AS roles FROM grants SEMI JOIN (SELECT uid AS identity_uid FROM principals SEMI JOIN several USING (principal)) USING (identity_uid) GROUP BY identity_uid) r USING (uid)
),
alike AS (
    SELECT principal, roles, list_sort(list(DISTINCT scope)) AS scopes FROM holders
    WHERE enabled AND NOT roles_unread AND roles IS NOT NULL GROUP BY principal, roles HAVING min(scope) <> max(scope)
),
-- holders that could be one more, and the first and last scope of theirs
open_holders AS (
    SELECT principal, min(scope) AS first, max(scope) AS last FROM holders WHERE roles_unread OR (enabled IS NULL AND roles IS NOT NULL) GROUP BY principal
),
open_names AS (
    SELECT provider, kind, name, min(scope) AS first, max(scope) AS last FROM principals WHERE by_name IS NOT NULL AND blind GROUP BY provider, kind, name
)
SELECT p.uid, len(a.scopes) AS copy_count,
       array_to_string(a.scopes[1:5], ', ') || CASE WHEN len(a.scopes) > 5 THEN ' and ' || (len(a.scopes) - 5) || ' more' ELSE '' END AS copy_scopes,
       array_to_string(a.roles[1:5], ', ') || CASE WHEN len(a.roles) > 5 THEN ' and ' || (len(a.roles) - 5) || ' more' ELSE '' END AS copy_roles,
       CASE WHEN o.first <> p.scope OR o.last <> p.scope THEN 'what it holds in ' || CASE WHEN o.first <> p.scope THEN o.first ELSE o.last END || ' is not known'
            WHEN n.first <> p.scope OR n.last <> p.scope THEN 'whose its namesake in ' || CASE WHEN n.first <> p.scope THEN n.first ELSE n.last END || ' is, is not known' END AS copies_why
FROM principals p
LEFT JOIN holders h ON h.uid = p.uid AND h.enabled AND NOT h.roles_unread
LEFT JOIN alike a ON a.principal = h.principal AND a.roles = h.roles
LEFT JOIN open_holders o ON o.principal = p.principal
LEFT JOIN open_names n ON n.provider = p.provider AND n.kind = p.kind AND n.name = p.name
WHERE p.partner IS NOT NULL AND (a.scopes IS NOT NULL OR o.principal IS NOT NULL OR n.name IS NOT NULL);
