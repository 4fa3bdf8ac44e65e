-- Facts of the register's entries: what breaks a rule in each.
SELECT NULL::VARCHAR AS subject, 'register' AS subject_kind, NULL::VARCHAR AS kind, 'register' AS provider, NULL::VARCHAR AS scope WHERE FALSE;
