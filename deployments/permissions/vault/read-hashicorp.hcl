path "+/cert/+" {
  capabilities = ["read"]
}
path "+/certs/" {
  capabilities = ["list"]
}
path "+/certs/detailed/" {
  capabilities = ["list"]
}
path "+/certs/revoked/" {
  capabilities = ["list"]
}
path "+/metadata/*" {
  capabilities = ["list", "read"]
}
path "+/static-roles/" {
  capabilities = ["list"]
}
path "+/static-roles/+" {
  capabilities = ["read"]
}
path "auth/+/certs/" {
  capabilities = ["list"]
}
path "auth/+/certs/+" {
  capabilities = ["read"]
}
path "auth/+/config" {
  capabilities = ["read"]
}
path "auth/+/role/" {
  capabilities = ["list"]
}
path "auth/+/role/+" {
  capabilities = ["read"]
}
path "auth/+/role/+/role-id" {
  capabilities = ["read"]
}
path "auth/+/role/+/secret-id-accessor/lookup" {
  capabilities = ["update"]
}
path "auth/+/role/+/secret-id/" {
  capabilities = ["list"]
}
path "auth/+/users/" {
  capabilities = ["list"]
}
path "auth/+/users/+" {
  capabilities = ["read"]
}
path "auth/token/accessors/" {
  capabilities = ["list", "sudo"]
}
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "identity/entity/id/" {
  capabilities = ["list"]
}
path "identity/entity/id/+" {
  capabilities = ["read"]
}
path "identity/group/id/+" {
  capabilities = ["read"]
}
path "identity/lookup/entity" {
  capabilities = ["update"]
}
path "sys/audit" {
  capabilities = ["read", "sudo"]
}
path "sys/audit-hash/+" {
  capabilities = ["update"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/ha-status" {
  capabilities = ["read"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/lookup/" {
  capabilities = ["list", "sudo"]
}
path "sys/leases/lookup/*" {
  capabilities = ["list", "sudo"]
}
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/policies/acl/+" {
  capabilities = ["read"]
}
