#!/usr/bin/env bash
# OpenSSL 3.0: TLS 1.3 with a plain pre-shared key runs on ChaCha20-Poly1305, and refuses the default suite AES-256-GCM
#
# One would expect: two sites that share a secret key use TLS 1.3 with it and get the suite that TLS 1.3 gets from
# OpenSSL otherwise, TLS_AES_256_GCM_SHA384; or, if the key is tied to SHA-256, the AES suite with that hash.
# What happens: a key given as bytes (-psk, or the older callbacks behind it) is tied to SHA-256. Of the suites with
# that hash the first of the default list is TLS_CHACHA20_POLY1305_SHA256, so that is what both sides take. Where one
# side allows AES-256-GCM only, as a hardened configuration does, the handshake ends with an alert that names no
# reason. With a certificate instead of the key the same two programs take AES-256-GCM. AES-128-GCM comes when asked
# for.
# Why it matters: on processors with AES instructions ChaCha20 is the slower one, and a security policy that asks for
# 256-bit AES cannot be met with a plain key: the program must set up the session's suite itself (the session
# callbacks), or use certificates.
# Uses the machine's own openssl, 3.0 or later (seen with 3.0.19).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need openssl
openssl version
openssl version | grep -q '^OpenSSL 3\.' || absent "no OpenSSL 3 here"
key=$(openssl rand -hex 32)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -days 2 \
  -subj /CN=localhost 2>err
run() { # run WHAT WANTED SERVER-OPTIONS CLIENT-OPTIONS
  local port=$((20000 + RANDOM % 20000)) server said
  # shellcheck disable=SC2086
  openssl s_server -accept 127.0.0.1:$port -tls1_3 -quiet $3 </dev/null >server 2>&1 &
  server=$!
  for _ in $(seq 50); do
    # shellcheck disable=SC2086
    timeout 10 openssl s_client -connect 127.0.0.1:$port -tls1_3 $4 </dev/null >client 2>&1 || true
    ! grep -q "^CONNECTED" client || break
    sleep 0.2
  done
  kill $server 2>/dev/null || true
  wait $server 2>/dev/null || true
  said=$(sed -n 's/.*Cipher is //p' client | head -n 1)
  ! grep -q "alert handshake failure" client || said="$said, alert handshake failure"
  same "$1" "$said" "$2"
}
aes256="-ciphersuites TLS_AES_256_GCM_SHA384"
aes128="-ciphersuites TLS_AES_128_GCM_SHA256"
run "certificate" TLS_AES_256_GCM_SHA384 "-cert crt -key key" ""
run "plain key" TLS_CHACHA20_POLY1305_SHA256 "-nocert -psk $key" "-psk $key"
run "plain key, AES-128 asked for" TLS_AES_128_GCM_SHA256 "-nocert -psk $key" "-psk $key $aes128"
run "plain key, AES-256 only" "(NONE), alert handshake failure" "-nocert -psk $key $aes256" "-psk $key $aes256"
verdict
