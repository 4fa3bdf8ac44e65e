path "transit/sign/evidence" {
  capabilities = ["update"]
}

path "transit/keys/evidence" {
  capabilities = ["read"]
}
