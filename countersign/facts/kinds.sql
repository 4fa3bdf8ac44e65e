-- What each kind of credential is under the policies: the register's name of it, whether idle ones are judged, whether two at a time
-- are a rotation left half done, and whether the provider itself ends it at its expiry.
CREATE TEMP TABLE kinds AS FROM (VALUES
    ('aws',   'access-key',          'aws_access_key',      TRUE,  TRUE,  FALSE),
    ('aws',   'password',            'password',            TRUE,  FALSE, FALSE),
    ('aws',   'service-specific-credential', 'aws_service_credential', TRUE, TRUE, TRUE),
    ('aws',   'signing-certificate', 'aws_signing_certificate', TRUE, TRUE, FALSE),
    ('aws',   'ssh-key',             'aws_ssh_key',         TRUE,  TRUE,  FALSE),
    ('aws',   'server-certificate',  NULL,                  FALSE, FALSE, FALSE),
    ('aws',   'secret',              'aws_secret',          TRUE,  FALSE, FALSE),
    ('aws',   'certificate',         NULL,                  TRUE,  FALSE, TRUE),
    ('azure', 'client-secret',       'entra_secret',        TRUE,  TRUE,  FALSE),
    ('azure', 'certificate',         'entra_certificate',   TRUE,  TRUE,  FALSE),
    ('azure', 'federated-credential', NULL,                 FALSE, FALSE, FALSE),
    ('gcp',   'service-account-key', 'gcp_key',             TRUE,  TRUE,  FALSE),
    ('gcp',   'api-key',             'gcp_api_key',         TRUE,  FALSE, FALSE),
    ('vault', 'secret-id',           'vault_secret_id',     TRUE,  TRUE,  TRUE),
    ('vault', 'token',               'vault_token',         TRUE,  FALSE, TRUE),
    ('vault', 'secret',              'vault_secret',        FALSE, FALSE, FALSE),
    ('vault', 'database-role',       'vault_database_role', FALSE, FALSE, FALSE),
    ('vault', 'certificate',         NULL,                  FALSE, FALSE, TRUE),
    ('vault', 'lease',               'vault_lease',         FALSE, FALSE, TRUE)
) AS kinds(provider, kind, policy_kind, idles, pairs, ends_itself);

-- What an identity may log in with, for each kind that logs in at all: a listing that is missing hides these of it, and nothing of others.
CREATE TEMP TABLE may_hold AS FROM (VALUES
    ('aws',   'user',                   ['password', 'access-key', 'service-specific-credential', 'signing-certificate', 'ssh-key']),
    ('aws',   'roles-anywhere-subject', ['certificate']),
    ('azure', 'application',            ['client-secret', 'certificate']),
    ('azure', 'service-principal',      ['client-secret', 'certificate']),
    ('gcp',   'service-account',        ['service-account-key']),
    ('vault', 'approle',                ['secret-id', 'token']),
    ('vault', 'auth-role',              ['token']),
    ('vault', 'entity',                 ['token']),
    ('vault', 'user',                   ['token'])
) AS may_hold(provider, kind, held);
