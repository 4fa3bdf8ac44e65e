-- Facts of scopes: how each was read.
SELECT s.provider || ':' || s.scope || ':source/' || s.source AS subject, 'scope' AS subject_kind, 'source' AS kind, s.provider, s.scope,
       s.source AS identity_name, TRUE AS was_expected, s.state = 'complete' AS fully_read, s.state AS reading, s.reason AS reading_reason
FROM scopes s;
