path "+/cert/+" {
  capabilities = ["read"]
}
path "+/delete/*" {
  capabilities = ["update"]
}
path "+/revoke" {
  capabilities = ["update"]
}
path "+/rotate-role/+" {
  capabilities = ["update"]
}
path "+/rotate-root/+" {
  capabilities = ["update"]
}
path "+/static-roles/+" {
  capabilities = ["read"]
}
path "+/undelete/*" {
  capabilities = ["update"]
}
path "auth/+/certs/+" {
  capabilities = ["delete", "read"]
}
path "auth/+/role/+" {
  capabilities = ["delete", "read"]
}
path "auth/+/role/+/secret-id-accessor/destroy" {
  capabilities = ["update"]
}
path "auth/+/role/+/secret-id-accessor/lookup" {
  capabilities = ["update"]
}
path "auth/+/role/+/secret-id/" {
  capabilities = ["list"]
}
path "auth/+/users/+" {
  capabilities = ["delete", "read"]
}
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}
path "identity/entity/id/+" {
  capabilities = ["read", "update"]
  allowed_parameters = {
    "disabled" = []
  }
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/revoke" {
  capabilities = ["update"]
}
path "sys/leases/revoke-prefix/*" {
  capabilities = ["sudo", "update"]
}
path "sys/mounts" {
  capabilities = ["read"]
}
