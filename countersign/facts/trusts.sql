-- Parties by what is the same in every way to write them: an issuer with or without https:// or a last slash, a tenant in capitals.
CREATE TEMP TABLE footprint AS
SELECT *, lower(rtrim(regexp_replace(value, '^https?://', ''), '/')) AS party_key FROM register_footprint;
CREATE TEMP TABLE trusted AS
SELECT * REPLACE (CASE WHEN party = '*' THEN 'anyone' ELSE party END AS party), lower(rtrim(regexp_replace(party, '^https?://', ''), '/')) AS party_key FROM trusts;

-- Outside parties that may act as an identity: neither the customer's own nor the provider's.
CREATE TEMP TABLE outside AS
SELECT t.identity_uid,
       count(*) AS outside_trusts,
       count(*) FILTER (t.condition IS NULL) AS unconditioned_trusts,
       count(*) FILTER (f.party_key IS NULL AND t.party_kind <> 'anyone') AS unknown_parties,
       string_agg(DISTINCT t.party, ', ' ORDER BY t.party) AS outside_parties,
       string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (t.condition IS NULL) AS unconditioned_parties,
       string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (f.party_key IS NULL AND t.party_kind <> 'anyone') AS unknown_party_names,
       -- a name out of the vendors file is for the reader; it registers nobody
       string_agg(DISTINCT t.party || t.vendor, ', ' ORDER BY t.party || t.vendor) FILTER (f.party_key IS NULL AND t.party_kind <> 'anyone') AS unknown_parties_told,
       string_agg(DISTINCT t.vendor_name, ', ' ORDER BY t.vendor_name) FILTER (f.party_key IS NULL) AS vendor_names
FROM (SELECT t.*, v.vendor AS vendor_name, coalesce(' (' || v.vendor || ', by ' || v.file || ')', '') AS vendor
      FROM trusted t LEFT JOIN register_vendors v ON t.party_kind = 'aws-account' AND v.account = t.party) t
LEFT JOIN (SELECT DISTINCT kind, party_key FROM footprint WHERE partner <> '') f ON f.kind = t.party_kind AND f.party_key = t.party_key
ANTI JOIN (SELECT DISTINCT kind, party_key FROM footprint WHERE partner = '') own ON own.kind = t.party_kind AND own.party_key = t.party_key
WHERE t.party_kind NOT IN ('aws-service', 'saml-provider')
  AND t.condition IS DISTINCT FROM 'the principal was deleted'    -- nobody can be it any more, and its id is never given again
GROUP BY t.identity_uid;
