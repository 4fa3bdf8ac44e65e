-- What each kind of credential is under the policies: the register's name of it, whether idle ones are judged, whether two at a time
-- are a rotation left half done, whether the provider itself ends it at its expiry, what it is a rotation of when a new one comes (`identity`:
-- the identity's others of the kind; `itself`: replaced in place; null: which followed which is not told), whether it is given out for a time
-- to live, whether its use is known by the day only, whether it is a lasting secret (false: the very thing to use instead), and what the
-- provider offers instead, to machines and to people.
CREATE TEMP TABLE kinds AS FROM (VALUES
    ('aws',   'access-key',          'aws_access_key',      TRUE,  TRUE,  FALSE, 'identity', FALSE, FALSE, TRUE,
        'a role (of the instance, task or function; OIDC or IAM Roles Anywhere from outside)', '`aws login` or IAM Identity Center'),
    ('aws',   'password',            'password',            TRUE,  FALSE, FALSE, 'itself',   FALSE, FALSE, NULL, NULL, NULL),
    ('aws',   'service-specific-credential', 'aws_service_credential', TRUE, TRUE, TRUE, 'identity', FALSE, FALSE, TRUE,
        'a role with signed requests', 'IAM Identity Center with signed requests'),
    ('aws',   'signing-certificate', 'aws_signing_certificate', TRUE, TRUE, FALSE, 'identity', FALSE, FALSE, TRUE,
        'a role (IAM Roles Anywhere takes certificates)', '`aws login` or IAM Identity Center'),
    ('aws',   'ssh-key',             'aws_ssh_key',         TRUE,  TRUE,  FALSE, 'identity', FALSE, FALSE, TRUE,
        'a role with git-remote-codecommit', 'IAM Identity Center with git-remote-codecommit'),
    ('aws',   'server-certificate',  NULL,                  FALSE, FALSE, FALSE, NULL,       FALSE, FALSE, NULL, NULL, NULL),
    ('aws',   'secret',              'aws_secret',          TRUE,  FALSE, FALSE, 'itself',   FALSE, TRUE,  NULL, NULL, NULL),
    ('aws',   'certificate',         NULL,                  TRUE,  FALSE, TRUE,  NULL,       FALSE, FALSE, FALSE, NULL, NULL),
    ('azure', 'client-secret',       'entra_secret',        TRUE,  TRUE,  FALSE, 'identity', FALSE, FALSE, TRUE,
        'workload identity federation or a managed identity', 'a sign-in of their own'),
    ('azure', 'certificate',         'entra_certificate',   TRUE,  TRUE,  FALSE, 'identity', FALSE, FALSE, TRUE,
        'workload identity federation or a managed identity', 'a sign-in of their own'),
    ('azure', 'federated-credential', NULL,                 FALSE, FALSE, FALSE, NULL,       FALSE, FALSE, FALSE, NULL, NULL),
    ('gcp',   'service-account-key', 'gcp_key',             TRUE,  TRUE,  FALSE, 'identity', FALSE, FALSE, TRUE,
        'workload identity federation or an attached service account', 'impersonation of the service account with their own sign-in'),
    ('gcp',   'api-key',             'gcp_api_key',         TRUE,  FALSE, FALSE, NULL,       FALSE, FALSE, NULL, NULL, NULL),
    ('vault', 'secret-id',           'vault_secret_id',     TRUE,  TRUE,  TRUE,  'identity', FALSE, FALSE, TRUE,
        'a log-in by Kubernetes, JWT or certificate', 'a log-in by OIDC'),
    ('vault', 'token',               'vault_token',         TRUE,  FALSE, TRUE,  'identity', TRUE,  FALSE, TRUE,
        'a log-in by Kubernetes, JWT or certificate for a short-lived token', 'a log-in by OIDC for a short-lived token'),
    ('vault', 'secret',              'vault_secret',        FALSE, FALSE, FALSE, 'itself',   FALSE, FALSE, NULL, NULL, NULL),
    ('vault', 'database-role',       'vault_database_role', FALSE, FALSE, FALSE, 'itself',   FALSE, FALSE, NULL, NULL, NULL),
    ('vault', 'certificate',         NULL,                  FALSE, FALSE, TRUE,  NULL,       FALSE, FALSE, NULL, NULL, NULL),
    ('vault', 'lease',               'vault_lease',         FALSE, FALSE, TRUE,  NULL,       TRUE,  FALSE, NULL, NULL, NULL)
) AS kinds(provider, kind, policy_kind, idles, pairs, ends_itself, succession, is_leased, used_by_day, is_lasting, machine_instead, human_instead);

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
