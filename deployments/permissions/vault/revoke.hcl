path "+/revoke" {
  capabilities = ["update"]
}
path "+/rotate-role/+" {
  capabilities = ["update"]
}
path "auth/+/certs/+" {
  capabilities = ["delete", "update"]
  allowed_parameters = {
    "token_bound_cidrs" = []
  }
}
path "auth/+/role/+" {
  capabilities = ["delete", "update"]
  allowed_parameters = {
    "bound_claims_type" = ["glob", "string"]
    "role_type" = ["jwt", "oidc"]
    "secret_id_bound_cidrs" = []
    "token_bound_cidrs" = []
  }
}
path "auth/+/role/+/secret-id-accessor/destroy" {
  capabilities = ["update"]
}
path "auth/+/users/+" {
  capabilities = ["delete", "update"]
  allowed_parameters = {
    "token_bound_cidrs" = []
  }
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}
path "identity/entity-alias/id/+" {
  capabilities = ["delete"]
}
path "identity/entity/id/+" {
  capabilities = ["delete", "update"]
  allowed_parameters = {
    "disabled" = []
  }
}
path "sys/leases/revoke" {
  capabilities = ["update"]
}
