-- Facts of findings that stood before this run, and of drills: which clock ran over.
SELECT NULL::VARCHAR AS subject, 'finding' AS subject_kind, NULL::VARCHAR AS kind, 'ledger' AS provider, NULL::VARCHAR AS scope WHERE FALSE;
