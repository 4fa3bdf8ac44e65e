path "auth/countersign-drill-approle/role/" {
  capabilities = ["list"]
}
path "auth/countersign-drill-approle/role/+" {
  capabilities = ["create", "update"]
  allowed_parameters = {
    "secret_id_ttl" = []
    "token_ttl" = []
  }
}
path "auth/countersign-drill-approle/role/+/role-id" {
  capabilities = ["read"]
}
path "auth/countersign-drill-approle/role/+/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
}
path "identity/entity/id/" {
  capabilities = ["list"]
}
path "identity/entity/id/+" {
  capabilities = ["delete", "read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/auth/countersign-drill-approle" {
  capabilities = ["create", "delete", "sudo", "update"]
  allowed_parameters = {
    "description" = []
    "type" = ["approle"]
  }
}
