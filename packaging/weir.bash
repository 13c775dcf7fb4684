# bash completion of weir; made by 'weir generate'; do not edit
_weir() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="${COMP_WORDS[1]}" flags= words= choices=
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W 'run serve bench load report compare runs chat pull inspect config generate doctor --help --version' -- "$current"))
    return
  fi
  [ "$command ${COMP_WORDS[2]}" = 'runs list' ] && command='runs list'
  [ "$command ${COMP_WORDS[2]}" = 'runs show' ] && command='runs show'
  [ "$command ${COMP_WORDS[2]}" = 'runs rm' ] && command='runs rm'
  case "$command" in
    'run')
      flags='--help -h --model --out --kv-cache-dtype --max-tokens --quick --try --strict'
      words=''
      case "$previous" in --kv-cache-dtype) choices='auto fp16 int8' ;; esac
      ;;
    'serve')
      flags='--help -h --model --load-format --shape --quantization --weights --served-model-name --lora --host --port --control-port --max-num-seqs --max-num-batched-tokens --max-model-len --memory-utilization --gpu-memory-utilization --memory-limit --kv-cache-dtype --prefix-cache --enable-prefix-caching --no-enable-prefix-caching --max-num-queued-reqs --max-num-queued-tokens --threads --ttft-objective --itl-objective --max-request-time --scheduler --queue --on-disconnect --control-host --api-keys-file --tls-cert --tls-key --public-routes --cors-origin --allowed-host --insecure-no-auth --unknown-params --max-connections --sse-keepalive --stream-interval --server-timing --ledger-ring --drain-delay --drain-timeout --log-level --exit-with-parent --config --print-config'
      words=''
      case "$previous" in --kv-cache-dtype) choices='auto fp16 int8' ;; esac
      ;;
    'bench')
      flags='--help -h --model --load-format --shape --quantization --weights --mode --batch-sizes --num-prompts --prompts --prompt-tokens --prefix-cache --max-tokens --max-model-len --memory-utilization --gpu-memory-utilization --kv-cache-dtype --output --batching --tail --repeats --warmup --temperature --seed --threads --max-num-batched-tokens --isa --prompt-lens --gen-len --profile --quick --format --allow-invalid'
      words=''
      case "$previous" in --mode) choices='study matrix' ;; --prefix-cache) choices='off on' ;; --kv-cache-dtype) choices='auto fp16 int8' ;; --batching) choices='continuous static' ;; --tail) choices='fill drain' ;; --format) choices='weir vllm llama-bench' ;; esac
      ;;
    'load')
      flags='--help -h --url --model --output --requests --duration --concurrency --ramp-up --timeout --no-deadline-header --max-tokens --ignore-eos --no-ignore-eos --stream --no-stream --request-rate --arrival --burstiness --max-in-flight --on-shed --percentile --retries --warmup --slo --dataset --stages --sweep --find-max --slo-share --probe-time --probe-requests --temperature --seed --control-url --format --allow-invalid'
      words=''
      case "$previous" in --arrival) choices='poisson constant gamma' ;; --on-shed) choices='wait next' ;; --percentile) choices='nearest-rank linear' ;; --find-max) choices='concurrency rate' ;; --format) choices='weir vllm guidellm aiperf' ;; esac
      ;;
    'report')
      flags='--help -h --out'
      words=''
      ;;
    'compare')
      flags='--help -h --runs --min-effect --force --strict --output'
      words=''
      ;;
    'runs')
      flags='--help -h'
      words='list show rm'
      ;;
    'runs list')
      flags='--help -h --limit --kind'
      words=''
      case "$previous" in --kind) choices='benchmark load_test' ;; esac
      ;;
    'runs show')
      flags='--help -h'
      words=''
      ;;
    'runs rm')
      flags='--help -h --files'
      words=''
      ;;
    'chat')
      flags='--help -h --url --model --served-model --system --temperature --max-tokens --max-model-len --threads'
      words=''
      ;;
    'pull')
      flags='--help -h --sha256 --output -o --token-env --token-file --force --stall-timeout --retries --retry-wait'
      words=''
      ;;
    'inspect')
      flags='--help -h --json --tensors --kv-cache-dtype'
      words=''
      case "$previous" in --kv-cache-dtype) choices='auto fp16 int8' ;; esac
      ;;
    'config')
      flags='--help -h'
      words='check'
      ;;
    'generate')
      flags='--help -h'
      words='man bash zsh fish'
      ;;
    'doctor')
      flags='--help -h --quick --json'
      words=''
      ;;
  esac
  if [ -n "$choices" ]; then
    COMPREPLY=($(compgen -W "$choices" -- "$current"))
  elif [ "${current#-}" != "$current" ]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _weir weir
