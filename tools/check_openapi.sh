#!/bin/sh
# Send generated requests, right and wrong ones, to every route of a running server and see that none is answered with a 5xx.
#
#     tools/check_openapi.sh URL [CASES_PER_ROUTE]
#
# Needs schemathesis on PATH (pip install schemathesis). The server should have short answers: start it with
# --max-model-len 256.
set -eu
url=${1:?usage: tools/check_openapi.sh URL [CASES_PER_ROUTE]}
exec schemathesis run "$url/openapi.json" --url "$url" --checks not_a_server_error --max-examples "${2:-200}" \
  --phases examples,fuzzing --request-timeout 120 --workers 2
