# An authority, a certificate for this machine's own address issued by it, and one by an authority that nobody knows. For tests: their keys are public.
set -eu
days=36500
for who in authority stranger; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $days -subj "/CN=blockwise tests: $who" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout $who.key -out $who.pem
done
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=blockwise tests" -keyout node.key -out node.csr
printf 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:node.test\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' > node.ext
openssl x509 -req -in node.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days $days -extfile node.ext -out node.pem
rm -f *.csr *.ext *.srl authority.key stranger.key
