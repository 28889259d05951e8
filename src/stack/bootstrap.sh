#!/bin/bash
# Makes an EC2 instance an environment. It is the same for every environment and may run any number of times.
#
#   bootstrap.sh            waits for the database, pulls the images under test, starts minikube, deploys the chart
#   bootstrap.sh deploy     deploys anew if the instance's tags ask for it; a timer runs it
#   bootstrap.sh dead-man   shuts the instance down if it is long past its expiry; a timer runs it
#   bootstrap.sh kubeconfig [SECONDS]
#                           prints a kubeconfig for developers, whose token expires after 8 h or the given time
#   bootstrap.sh database-console
#                           runs psql or mysql on the environment's database, as the user of the services
#
# Settings are in /etc/hatchery/fleet.env, the rest in the instance's tags. The chart's values are fleet, environment, registry,
# database.host, database.port, database.secret (a Kubernetes secret) and services.<name>.tag. Manifests get the tags as kustomize's
# images, and the database from the secret hatchery-database.
# shellcheck disable=SC2016 # The variables in single quotes are jq's.
set -uo pipefail
umask 077
# In the C locale [a-z] and [:print:] mean ASCII. cloud-init sets no HOME, which docker, minikube and helm need.
export LC_ALL=C HOME="${HOME:-/root}" AWS_PAGER='' AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=5

STATE=${HATCHERY_STATE_DIR:-/var/lib/hatchery}
WORK=$STATE/run
LOG=$STATE/bootstrap.log
UNITS=${HATCHERY_UNIT_DIR:-/etc/systemd/system}
IMDS=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
TAGS=meta-data/tags/instance
# A factor on all timeouts and pauses, in thousandths.
SCALE=${HATCHERY_TIMEOUT_SCALE:-1000}
# The image contains the flags with which its cluster was created. These are the same, for an image without a cluster.
MINIKUBE_FLAGS='--driver=docker --container-runtime=docker --force --cpus=no-limit --memory=no-limit --static-ip=192.168.200.200 --apiserver-names=hatchery.internal --addons=ingress --addons=metrics-server --ports=80:80 --ports=443:443 --interactive=false'
# Docker inside minikube's node. kubelet reads this configuration too, for images that are not under test.
NODE_DOCKER=(docker exec --interactive minikube docker --config /var/lib/kubelet)
HATCHERY_REGISTRY='' HATCHERY_CHART='' HATCHERY_DATABASE_SECRET='' HATCHERY_LOG_GROUP=''
HATCHERY_DATABASE_AUTH=secret HATCHERY_HARD_CAP=691200 HATCHERY_GRACE=900
INSTANCE='' STREAM='' TIMELINE='' PHASE=booting FINISHED='' INVALID=''
# The time of the request that `deploy` works on, the request with its user, and what it asks for.
REQUEST='' REQUESTED='' WANTED=''
declare -A SERVICES=() JOBS=()

pause() { sleep "$((SCALE * $1 / 1000)).$((SCALE * $1 / 100 % 10))"; }

# limit SECONDS COMMAND...: closes the lock, because a command that outlives the script would hold it.
limit() {
  timeout --kill-after=5 "$((SCALE * $1 / 1000 + 2))" "${@:2}" 9>&-
}

# because REASON: why the current job fails. The rename is atomic, because two pulls can fail at once.
because() {
  printf %s "$1" >"$REASON.$BASHPID" && mv -f "$REASON.$BASHPID" "$REASON"
  return 1
}

# try REASON SECONDS COMMAND...
try() {
  limit "${@:2}" && return
  [[ $? =~ ^(124|137)$ ]] && set -- "$1 (timeout after $2 s)"
  because "$1"
}

# keep NAME TEXT: writes a marker. The rename is atomic, so that a crash leaves no half of a marker.
keep() { printf %s "$2" >"$STATE/$1.new" && mv -f "$STATE/$1.new" "$STATE/$1"; }
kept() { cat "$STATE/$1" 2>/dev/null; }
# has MARKER: whether a step is done. A deployment repeats the steps, and leaves the markers to the bootstrap after a reboot.
has() { [[ ! $REQUEST && -e $STATE/$1 ]]; }

# seconds DURATION: of a duration such as 90, 15m, 8h or 7d
seconds() {
  local factor=1
  case $1 in *m) factor=60 ;; *h) factor=3600 ;; *d) factor=86400 ;; esac
  echo $((10#${1%[smhd]} * factor))
}

# Parses the file without `source`, which would execute it. An invalid value leaves the default to the dead man's switch.
read_settings() {
  local line key rule
  while IFS= read -r line || [[ $line ]]; do
    key=${line%%=*} rule='^[A-Za-z0-9/_][A-Za-z0-9/_.:@=!+#-]*$'
    case $key in
    HATCHERY_HARD_CAP | HATCHERY_GRACE) rule='^[0-9]{1,9}[smhd]?$' ;;
    HATCHERY_DATABASE_AUTH) rule='^(secret|password|iam)$' ;;
    HATCHERY_CHART) rule='^(oci://[A-Za-z0-9._/:+-]+|s3://[A-Za-z0-9._/:+-]+\.(tgz|yaml))$' ;;
    HATCHERY_REGISTRY | HATCHERY_DATABASE_SECRET | HATCHERY_LOG_GROUP) ;;
    *) continue ;;
    esac
    if [[ ${line#*=} =~ $rule ]]; then printf -v "$key" %s "${line#*=}"; else INVALID+=" $key"; fi
  done <"${HATCHERY_FLEET_ENV:-/etc/hatchery/fleet.env}"
  for key in HATCHERY_REGISTRY HATCHERY_CHART HATCHERY_DATABASE_SECRET; do [[ ${!key} ]] || INVALID+=" $key"; done
}

fetch() { limit 60 curl -sSf -g --noproxy '*' -m 5 --retry 5 --retry-connrefused "$@"; }
imds() { fetch -H "X-aws-ec2-metadata-token: $TOKEN" "$IMDS/latest/$1"; }

connect() {
  TOKEN=$(fetch -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' "$IMDS/latest/api/token") || return
  AWS_REGION=$(imds meta-data/placement/region) && INSTANCE=$(imds meta-data/instance-id)
  # Version 1 of the AWS CLI reads the second name only.
  export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
  [[ $INSTANCE =~ ^i-[0-9a-f]{8,17}$ ]] || INSTANCE=''
  [[ $INSTANCE ]]
}

# seconds_of RFC3339: seconds since the epoch
seconds_of() {
  local rule='^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$'
  [[ $1 =~ $rule ]] && date -d "$1" +%s 2>/dev/null
}

# The first launch counts: pendingTime changes when EC2 starts a stopped instance.
find_launch() {
  LAUNCHED=''
  [[ $INSTANCE && $(kept instance) != "$INSTANCE" ]] || LAUNCHED=$(kept launched)
  [[ $LAUNCHED =~ ^[0-9]{1,11}$ ]] || LAUNCHED=$(seconds_of "$(imds dynamic/instance-identity/document | jq -r .pendingTime)") ||
    LAUNCHED=$(($(date +%s) - $(cut -d . -f 1 /proc/uptime)))
}

# tag KEY RULE: reads a tag into VALUE. The error does not repeat the value, because it can be hostile.
tag() {
  VALUE=$(imds "$TAGS/hatchery:$1") && [[ $VALUE =~ $2 ]] || fail "the tag hatchery:$1 is missing or invalid"
}

read_tags() {
  local keys key name
  keys=$(imds "$TAGS/") || fail "cannot read the instance's tags; allow tags in instance metadata"
  tag fleet '^[a-z][a-z0-9-]{0,29}$' && FLEET=$VALUE
  tag environment '^[a-z][a-z0-9-]{0,29}-[0-9]{1,10}$' && ENVIRONMENT=$VALUE
  tag database '^[a-z][a-z0-9-]{0,62}$' && DATABASE=$VALUE
  while IFS= read -r key; do
    name=${key#hatchery:service.}
    [[ $name != "$key" ]] || continue
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ ]] || fail "a tag hatchery:service.* has an invalid name"
    tag "service.$name" '^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$' && SERVICES[$name]=$VALUE
  done <<<"$keys"
  STREAM=$(imds "$TAGS/aws:ec2launchtemplate:id")
  [[ $STREAM =~ ^lt-[0-9a-f]+$ ]] || STREAM=$ENVIRONMENT
}

# write_tags KEY VALUE...: as JSON, because the CLI's short form gives commas and quotes a meaning.
write_tags() {
  local tags='' value
  while (($#)); do
    value=${2//[^[:print:]]/ }
    value=${value:0:256}
    value=${value//\\/\\\\}
    tags+=",{\"Key\":\"hatchery:$1\",\"Value\":\"${value//\"/'\"'}\"}"
    shift 2
  done
  limit 60 aws ec2 create-tags --resources "$INSTANCE" --tags "[${tags:1}]"
}

# publish DETAIL [READY_AT]: writes all tags, so that each call makes up for a failed one. A deployment leaves the phase as it is.
publish() {
  local tags
  echo "$PHASE: $1"
  if [[ $REQUEST ]]; then
    write_tags rollout "$REQUEST running $1"
    return
  fi
  read -ra tags <<<"$(kept digests)"
  write_tags phase "$PHASE" detail "$1" timeline "$TIMELINE" ${2:+ready-at "$2"} "${tags[@]}"
}

# answer TEXT: tells the end of a deployment, and does not repeat the deployment. Without the tag, hatchery would wait for it.
answer() {
  local tags
  read -ra tags <<<"$(kept digests)"
  echo "$PHASE: $1"
  until write_tags rollout "$REQUEST $1" "${tags[@]}"; do pause 15; done
  keep rollout "$REQUEST $1" && keep deployed "$WANTED"
}

# Sends new lines of the log to CloudWatch Logs, at most 1 MiB. Errors are ignored: an environment is worth more than its log.
ship() {
  local group=(--log-group-name "$HATCHERY_LOG_GROUP" --log-stream-name "$STREAM/bootstrap") total
  [[ $HATCHERY_LOG_GROUP && $STREAM ]] || return 0
  total=$(wc -l <"$LOG")
  tail -n "+$((SHIPPED + 1))" "$LOG" | tail -n 2000 | cut -c 1-400 |
    jq -Rn '[inputs | select(. != "") | {timestamp: (now * 1000 | floor), message: .}]' >"$WORK/events"
  limit 30 aws logs create-log-stream "${group[@]}" >/dev/null 2>&1
  limit 30 aws logs put-log-events "${group[@]}" --log-events "file://$WORK/events" >/dev/null 2>&1 && SHIPPED=$total
}

# enter PHASE DETAIL [READY_AT]
enter() {
  local seconds=$(($(date +%s) - LAUNCHED))
  PHASE=$1
  # A repetition keeps the first start.
  [[ " $TIMELINE" == *" $1="* ]] || TIMELINE+="${TIMELINE:+ }$1=$((seconds > 0 ? seconds : 0))"
  keep timeline "$TIMELINE"
  publish "${@:2}"
}

# fail REASON [JOB]: the machine is kept, so that its owner can look at it. After a failed deployment, the environment stays ready.
fail() {
  local last=''
  FINISHED=1
  stop_jobs
  # The last line of the command that failed. Lines with the phase are of `publish`.
  [[ -z ${2:-} ]] ||
    last=$(tr '\r' '\n' <"$WORK/$2.log" | sed -E "s/\x1b\[[0-9;]*[A-Za-z]//g; /^($2|deployment): /d" | grep '[[:graph:]]' | tail -n 1)
  set -- "${2:-$PHASE}: $1${last:+; $last}"
  if [[ $REQUEST ]]; then answer "failed $1"; else PHASE=failed && publish "$1"; fi
  ship
  exit 1
}

# start PHASE FUNCTION: in the background, because the first three jobs do not depend on each other.
start() {
  REASON=$WORK/$1.reason
  "$2" >"$WORK/$1.log" 2>&1 &
  JOBS[$1]=$!
}

# Waits for a phase's job. The failure of any job ends the bootstrap at once, and so does a later request, which the timer takes next.
await() {
  local job status requested
  while [[ ${JOBS[$1]:-} ]]; do
    if [[ $REQUEST ]] && requested=$(imds "$TAGS/hatchery:deployment") && [[ $requested != "$REQUESTED" ]]; then
      echo "$PHASE: there is a later request"
      FINISHED=1
      stop_jobs
      exit 0
    fi
    for job in "${!JOBS[@]}"; do
      if kill -0 "${JOBS[$job]}" 2>/dev/null; then continue; fi
      wait "${JOBS[$job]}"
      status=$?
      unset "JOBS[$job]"
      cat "$WORK/$job.log"
      ((status == 0)) || fail "$(cat "$WORK/$job.reason" || echo unknown)" "$job"
    done
    pause 1
  done
  ship
}

# stop PID: ends a process and its descendants. The parent goes first, because it would start the next command.
stop() {
  local child children
  children=$(pgrep -P "$1")
  kill "$1" 2>/dev/null
  for child in $children; do stop "$child"; done
}

stop_jobs() {
  local pid
  for pid in "${JOBS[@]}"; do stop "$pid"; done
  JOBS=()
}

# The secret's value as an object. jq's errors are hidden, because they quote their input.
database_secret() {
  limit 60 aws secretsmanager get-secret-value --secret-id "$HATCHERY_DATABASE_SECRET" --output json |
    jq -c '.SecretString | (fromjson? | objects) // {password: .}' 2>/dev/null
}

# set_password MASTER-USER: a file, because arguments are visible in `ps`. A repetition sets the same password.
set_password() {
  [[ $(database_secret | jq -r .username) == "$1" ]] ||
    because "the secret's username is not the master user of $DATABASE, whose password is set" || return
  [[ $(kept new-password) == *"\"$DATABASE\""* ]] || keep new-password \
    "{\"DBInstanceIdentifier\":\"$DATABASE\",\"MasterUserPassword\":\"$(head -c 21 /dev/urandom | base64 | tr /+ _-)\"}"
  limit 60 aws rds modify-db-instance --apply-immediately --cli-input-json "file://$STATE/new-password" >/dev/null ||
    because "cannot set the password of $DATABASE"
}

# RDS is available for a moment before it begins to set a password.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_PendingModifiedValues.html
STATUS_OF_DATABASE='.DBInstances[0]
  | if (.DBInstanceStatus | IN("available", "storage-optimization")) and .PendingModifiedValues.MasterUserPassword
    then "resetting-master-credentials" else .DBInstanceStatus end + " \(.Endpoint.Address) \(.Endpoint.Port) \(.MasterUsername)"'

await_database() {
  local answer status='' last='' host='' port='' user='' password_set='' errors=0 refusals=0
  local deadline=$((SECONDS + SCALE * 24 / 10))
  # A marker names its database, which a deployment can exchange.
  [[ $(kept database) != *" $DATABASE" ]] || return 0
  [[ $HATCHERY_DATABASE_AUTH == password ]] || password_set=1
  while ((SECONDS < deadline)); do
    answer=$(limit 60 aws rds describe-db-instances --db-instance-identifier "$DATABASE" --output json |
      jq -r "$STATUS_OF_DATABASE")
    if [[ $answer =~ ^([a-z-]+)\ ([a-z0-9.-]+)\ ([0-9]+|null)\ (.*)$ ]]; then
      status=${BASH_REMATCH[1]} host=${BASH_REMATCH[2]} port=${BASH_REMATCH[3]} user=${BASH_REMATCH[4]} errors=0
    else
      ((++errors < 5)) || because "$DATABASE cannot be described" || return
    fi
    case $status in
    available | storage-optimization)
      if [[ $errors == 0 && $host == *.* && $port != null ]]; then
        [[ ! $password_set ]] || { keep database "$host $port $DATABASE" && return; }
        if set_password "$user"; then password_set=1; else ((++refusals < 5)) || return; fi
      fi ;;
    failed | restore-error | insufficient-capacity | inaccessible-* | incompatible-* | deleting)
      because "$DATABASE is $status" || return ;;
    esac
    [[ $status == "$last" ]] || publish "$DATABASE is $status"
    last=$status
    pause 15
  done
  because "$DATABASE is ${status:-unknown} after 40 minutes"
}

# login HOST DOCKER...
login() {
  limit 60 aws ecr get-login-password | limit 60 "${@:2}" login --username AWS --password-stdin "$1" || because "cannot log in to $1"
}

# await_node: until the Docker that the pods use answers
await_node() {
  local deadline=$((SECONDS + SCALE * 9 / 10))
  until limit 30 "${NODE_DOCKER[@]}" version >/dev/null 2>&1; do
    ((SECONDS < deadline)) || because "minikube's Docker does not answer" || return
    pause 2
  done
}

# pull IMAGE: up to three times, because minikube restarts the node's Docker when it starts.
pull() {
  local attempt
  for attempt in 1 2 3; do
    ((attempt == 1)) || await_node || return
    try "cannot pull ${1##*/}" 600 "${NODE_DOCKER[@]}" pull --quiet "$1" && return
  done
  return 1
}

# Inside the node, because the image has layers of the services there. It runs while minikube starts.
pull_images() {
  local name
  JOBS=()
  ! has images && [[ ${#SERVICES[@]} != 0 ]] || return 0
  await_node && login "${HATCHERY_REGISTRY%%/*}" "${NODE_DOCKER[@]}" || return
  for name in "${!SERVICES[@]}"; do
    pull "$HATCHERY_REGISTRY/$name:${SERVICES[$name]}" &
    JOBS[$name]=$!
  done
  for name in "${!SERVICES[@]}"; do wait "${JOBS[$name]}" || { stop_jobs && return 1; }; done
  keep images ''
}

minikube_start() {
  local flags
  read -ra flags <<<"$(cat "${HATCHERY_MINIKUBE_FLAGS_FILE:-/etc/hatchery/minikube.flags}" 2>/dev/null || echo "$MINIKUBE_FLAGS")"
  try "minikube does not start" 900 minikube start "${flags[@]}"
}

start_cluster() {
  local interrupted=''
  [[ -e $STATE/cluster || ! -e $STATE/cluster-begun ]] || interrupted=1
  keep cluster-begun ''
  # A start that was cut off can leave a cluster that never starts.
  minikube_start ||
    { [[ $interrupted ]] && keep deleted '' && try "cannot delete the cluster" 300 minikube delete && minikube_start; } || return
  # Its webhook rejects every ingress until it runs.
  try "the ingress is not healthy" 330 kubectl --namespace ingress-nginx rollout status deployment/ingress-nginx-controller \
    --timeout=300s && keep cluster ''
}

# apply_secret HOST PORT: through pipes, because arguments are visible in `ps`. The host is replaced, because
# it is the source database's. kubectl's errors are hidden, because they quote their input.
apply_secret() {
  local filter=. needs=''
  case $HATCHERY_DATABASE_AUTH in
  password) filter='. + {password: $new[0].MasterUserPassword}' ;;
  iam) filter='{username: (.username // error), auth: "iam", region: $region}' needs=' (iam needs a username)' ;;
  esac
  database_secret |
    jq -c --arg host "$1" --arg port "$2" --arg region "$AWS_REGION" --slurpfile new <(kept new-password) \
      "$filter"' + {$host, $port} | {apiVersion: "v1", kind: "Secret", metadata: {name: "hatchery-database"},
      stringData: map_values(tostring)}' 2>/dev/null |
    limit 60 kubectl apply -f - >/dev/null 2>&1 || because "cannot create the database's secret$needs"
}

# download FILE
download() { try "cannot download $HATCHERY_CHART" 120 aws s3 cp "$HATCHERY_CHART" "$1"; }

# install_chart CHART HOST PORT
install_chart() {
  local chart=$1 name value options=()
  if [[ $chart == oci://* ]]; then
    name=${chart#oci://}
    # helm uses docker's credentials.
    [[ $name != *.dkr.ecr.* ]] || login "${name%%/*}" docker || return
    if [[ ${name##*/} == *:* ]]; then chart=${chart%:*} && options+=(--version "${name##*:}"); fi
  fi
  # helm refuses a release whose last operation was cut off. Its resources stay, and the next operation adopts them.
  try "cannot clear an interrupted release" 60 kubectl delete secret --ignore-not-found \
    --selector 'owner=helm,name=environment,status in (pending-install,pending-upgrade,pending-rollback)' || return
  for value in fleet="$FLEET" environment="$ENVIRONMENT" registry="$HATCHERY_REGISTRY" database.host="$2" database.port="$3" \
    database.secret=hatchery-database; do
    options+=(--set-string "$value")
  done
  for name in "${!SERVICES[@]}"; do options+=(--set-string "services.$name.tag=${SERVICES[$name]}"); done
  try "helm cannot deploy the chart" 660 helm upgrade --install environment "$chart" --timeout 600s "${options[@]}"
}

# apply_manifests DIRECTORY
apply_manifests() {
  local name images=''
  for name in "${!SERVICES[@]}"; do
    images+=",{\"name\":\"$HATCHERY_REGISTRY/$name\",\"newTag\":\"${SERVICES[$name]}\"}"
  done
  printf '{"resources":["manifests.yaml"],"images":[%s]}' "${images:1}" >"$1/kustomization.yaml"
  try "cannot apply the manifests" 120 kubectl apply --kustomize "$1"
}

# The environment does not wait for the tools.
apply_tools() {
  local tools=${HATCHERY_TOOLS_FILE:-/etc/hatchery/tools.yaml}
  [[ -e $tools ]] || return 0
  # The log viewer ends itself without it.
  try "cannot enable the metrics server" 120 minikube addons enable metrics-server || return
  {
    cat "$tools"
    [[ ! $HATCHERY_LOG_GROUP ]] || printf -- '---
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fluent-bit-environment", "namespace": "hatchery"},
 "data": {"AWS_REGION": "%s", "LOG_GROUP": "%s", "LOG_STREAM_PREFIX": "%s"}}' "$AWS_REGION" "$HATCHERY_LOG_GROUP" "$STREAM"
  } | try "cannot apply the tools" 120 kubectl apply -f -
}

deploy() {
  local host port same=''
  IFS=' ' read -r host port _ <<<"$(kept database)"
  # The password of a database stays that of its snapshot, so the secret changes with the database only.
  [[ ! $REQUEST || $(kept secret) != "$DATABASE" ]] || same=1
  apply_tools && { [[ $same ]] || apply_secret "$host" "$port"; } || return
  case $HATCHERY_CHART in
  oci://*) install_chart "$HATCHERY_CHART" "$host" "$port" ;;
  *.tgz) download "$WORK/chart.tgz" && install_chart "$WORK/chart.tgz" "$host" "$port" ;;
  *.yaml) mkdir "$WORK/manifests" && download "$WORK/manifests/manifests.yaml" && apply_manifests "$WORK/manifests" ;;
  esac || return
  [[ ! $REQUEST ]] || restart_workloads "$same" || return
  keep secret "$DATABASE" && keep services '' && rm -f "$STATE/new-password"
}

# The images with a tag under test of which a running pod has other contents than the tag has now
STALE_IMAGES='
  [.items[] | select(.metadata.deletionTimestamp == null)
    | .status.containerStatuses as $statuses | .spec.containers[] | .name as $container | .image | select(. == $image)
    | first($statuses[]? | select(.name == $container) | .imageID | split("@")[1] | values)] - $digests | length > 0'
# Workloads with one of these images, or with the secret of a database that has been exchanged
WORKLOADS_TO_RESTART='$ARGS.positional as $stale
  | .items[] | select((.spec.template.spec | [.containers[]?, .initContainers[]? | .image] | any(IN($stale[])))
    or ($same == "" and (.spec.template | tostring | contains("\"hatchery-database\""))))
  | "\(.kind | ascii_downcase)/\(.metadata.name)"'

# restart_workloads SAME-DATABASE: Kubernetes sees a change of an image's name only.
restart_workloads() {
  local name image digests pods workload workloads stale=()
  pods=$(limit 60 kubectl get pods --output json) || because "cannot list the pods" || return
  for name in "${!SERVICES[@]}"; do
    image=$HATCHERY_REGISTRY/$name:${SERVICES[$name]}
    digests=$(limit 60 "${NODE_DOCKER[@]}" image inspect --format '{{json .RepoDigests}}' "$image" |
      jq -c '. // [] | map(split("@")[1])') || because "cannot inspect ${image##*/}" || return
    ! printf %s "$pods" | jq -e --arg image "$image" --argjson digests "$digests" "$STALE_IMAGES" >/dev/null || stale+=("$image")
  done
  workloads=$(limit 60 kubectl get deployments,statefulsets,daemonsets --output json |
    jq -r --arg same "$1" --args "$WORKLOADS_TO_RESTART" "${stale[@]}") || because "cannot list the workloads" || return
  for workload in $workloads; do
    try "cannot restart $workload" 60 kubectl rollout restart "$workload" || return
  done
}

# The status has the digest, the spec the tag: Docker's status has any tag of the image.
DIGEST_OF_SERVICE='
  [.items[] | select(.metadata.deletionTimestamp == null and (.status.phase | IN("Running", "Succeeded")))
    | .status.containerStatuses as $statuses | .spec.containers[] | .name as $container
    | .image | select(startswith($image)) | .[($image | length):] | select(test("^([:@]|$)"))
    | {tag: (if . == "" then "latest" else ltrimstr(":") end),
      digest: (first($statuses[]? | select(.name == $container) | .imageID | split("@")[1]) // "")}]
  | (map(.tag) | unique) as $tags | (map(.digest) | unique) as $digests
  | if $tags == [] then "no pod runs \($name)"
    elif $tags != [$tag] then "\($name) runs \($tags | join(", ")) instead of \($tag)"
    elif ($digests | length) > 1 then "the pods of \($name) run images of several digests"
    elif $digests[0] | test("^sha256:[0-9a-f]{64}$") then $digests[0]
    else "the digest of \($name) is unknown" end'

# Once, because a user may deploy another image later.
find_digests() {
  local pods name digest digests=''
  ! has digests || return 0
  [[ ${#SERVICES[@]} != 0 ]] || { keep digests '' && return; }
  pods=$(limit 60 kubectl get pods --output json) || because "cannot list the pods" || return
  for name in "${!SERVICES[@]}"; do
    digest=$(printf %s "$pods" | jq -r --arg name "$name" --arg image "$HATCHERY_REGISTRY/$name" --arg tag "${SERVICES[$name]}" \
      "$DIGEST_OF_SERVICE")
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || because "${digest:-cannot read the pods}" || return
    digests+=" digest.$name $digest"
  done
  keep digests "${digests:1}"
}

run_services() {
  local workload workloads
  has services || deploy || return
  workloads=$(limit 60 kubectl get deployments,statefulsets,daemonsets --output name) || because "cannot list the workloads" || return
  for workload in $workloads; do
    publish "waiting for $workload"
    try "$workload is not healthy" 930 kubectl rollout status "$workload" --timeout=900s || return
  done
  find_digests
}

# User data writes the script and runs it at the first boot only, so a unit repeats it. Docker may start after cloud-init.
install_units() {
  [[ -d $UNITS ]] && command -v systemctl >/dev/null || return 0
  printf '%s\n' '[Unit]' 'Wants=network-online.target' 'After=network-online.target docker.service' '[Service]' Type=oneshot \
    "ExecStart=/bin/bash $STATE/bootstrap.sh %i" '[Install]' WantedBy=multi-user.target >"$UNITS/hatchery@.service" &&
    printf '%s\n' '[Timer]' OnBootSec=15s OnUnitInactiveSec=15s AccuracySec=1s Unit=hatchery@deploy.service '[Install]' \
      WantedBy=timers.target >"$UNITS/hatchery-deploy.timer" &&
    printf '%s\n' '[Timer]' OnBootSec=5min OnUnitActiveSec=5min Unit=hatchery@dead-man.service '[Install]' \
      WantedBy=timers.target >"$UNITS/hatchery-dead-man.timer" &&
    limit 60 systemctl daemon-reload && limit 60 systemctl enable --now hatchery-{dead-man,deploy}.timer &&
    limit 60 systemctl enable hatchery@bootstrap.service && limit 120 systemctl start docker.service
}

# No engine is left if the instance still runs now. EC2 terminates it at its shutdown. A Nitro instance sees extensions.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
dead_man() {
  local now expiry='' expires detail cap grace
  read_settings
  cap=$(seconds "$HATCHERY_HARD_CAP") grace=$(seconds "$HATCHERY_GRACE")
  connect
  find_launch
  now=$(date +%s)
  [[ -z $INSTANCE ]] || expiry=$(imds "$TAGS/hatchery:expires-at")
  if ((now > LAUNCHED + cap)); then
    detail="shutting down: older than $cap s"
  elif expires=$(seconds_of "$expiry") && ((now > expires + grace + 6 * 3600)); then
    detail="shutting down: expired at $expiry, and no engine terminated it"
  else
    return 0
  fi
  echo "$detail"
  write_tags detail "$detail"
  limit 60 shutdown -h now
}

# kubeconfig SECONDS: of the account in tools.yaml. kubectl create token accepts no less than 600 s.
kubeconfig() {
  if ! [[ $1 =~ ^[1-9][0-9]{2,4}$ ]] || (($1 < 600 || $1 > 43200)); then
    echo "the lifetime of the token must be 600 to 43200 seconds" >&2
    return 2
  fi
  {
    limit 60 kubectl get configmap kube-root-ca.crt --namespace default --output json &&
      limit 60 kubectl create token developer --namespace default --duration "$1s" --output json
  } | jq -es 'select(.[1].status.token) | {
    apiVersion: "v1", kind: "Config", "current-context": "hatchery",
    clusters: [{name: "hatchery", cluster: {
      server: "https://hatchery.internal:8443", "certificate-authority-data": (.[0].data["ca.crt"] | @base64)}}],
    users: [{name: "developer", user: {token: .[1].status.token}}],
    contexts: [{name: "hatchery", context: {cluster: "hatchery", user: "developer", namespace: "default"}}]}' ||
    { echo "cannot create the kubeconfig; is the environment ready?" >&2 && return 1; }
}

# database_console: with what the services have. The password is in the environment of the client, which only root can read.
database_console() {
  local rule='^[a-z][a-z0-9-]{0,62}\.[a-z0-9.-]+$' secret found host port auth user name engine password client=()
  secret=$(limit 60 kubectl get secret hatchery-database --namespace default --output json |
    jq -ce '.data | map_values(@base64d)' 2>/dev/null) || refuse "cannot read the database's secret; is the environment ready?" || return
  host=$(printf %s "$secret" | jq -r .host) port=$(printf %s "$secret" | jq -r .port) auth=$(printf %s "$secret" | jq -r .auth)
  [[ $host =~ $rule && $port =~ ^[0-9]{1,5}$ ]] || refuse "the database's secret has no valid host and port" || return
  connect && found=$(limit 60 aws rds describe-db-instances --db-instance-identifier "${host%%.*}" --output json) ||
    refuse "cannot describe ${host%%.*}" || return
  engine=$(printf %s "$found" | jq -r '.DBInstances[0].Engine')
  user=$(printf %s "$secret" | jq -r --argjson found "$found" '.username // $found.DBInstances[0].MasterUsername')
  name=$(printf %s "$secret" | jq -r --argjson found "$found" '.dbname // $found.DBInstances[0].DBName // ""')
  password=$(printf %s "$secret" | jq -r '.password // ""')
  [[ $auth != iam ]] ||
    password=$(limit 60 aws rds generate-db-auth-token --hostname "$host" --port "$port" --username "$user") ||
    refuse "cannot create a token for $user" || return
  case $engine in
  postgres) client=(psql --no-password --host="$host" --port="$port" --username="$user" --dbname="${name:-postgres}") ;;
  mysql | mariadb)
    client=(mariadb --ssl --skip-ssl-verify-server-cert)
    command -v mariadb >/dev/null || client=(mysql --enable-cleartext-plugin)
    client+=(--host="$host" --port="$port" --user="$user" ${name:+--database="$name"}) ;;
  *) refuse "there is no console for the engine $engine" || return ;;
  esac
  command -v "${client[0]}" >/dev/null ||
    refuse "${client[0]} is not installed; build the base image and the service image anew, or install it in your own image" || return
  echo "${client[0]} on ${host%%.*} as $user"
  # Without a history on the disk.
  PGPASSWORD=$password PGSSLMODE=require PSQL_HISTORY=/dev/null MYSQL_PWD=$password MYSQL_HISTFILE=/dev/null exec "${client[@]}"
}

# refuse REASON
refuse() {
  echo "$1" >&2
  return 1
}

lock() {
  mkdir -p "$STATE" && exec 9>"$STATE/lock" || exit 1
  flock -n 9 || exit 0
}

open_log() {
  exec >>"$LOG" 2>&1 </dev/null
  rm -rf "$WORK" && mkdir "$WORK" && SHIPPED=$(wc -l <"$LOG") || exit 1
}

set_traps() {
  trap '[[ $FINISHED ]] || fail "the script ended early"' EXIT
  # A reboot is no failure.
  trap 'FINISHED=1; stop_jobs; exit 143' TERM INT HUP
}

# Prints what the tags ask for, as they are.
wanted() {
  local keys key
  keys=$(imds "$TAGS/" | sort) && echo "$REQUEST" || return
  while IFS= read -r key; do
    case $key in hatchery:database | hatchery:service.*) echo "$key=$(imds "$TAGS/$key")" || return ;; esac
  done <<<"$keys"
}

# Deploys what the tags name, if that is not what was deployed for the last request. Before the first request there is nothing to do.
redeploy() {
  # Before the lock, which is the bootstrap's until the environment is ready.
  [[ $(kept ready) == "$BOOT" ]] || exit 0
  lock
  connect 2>/dev/null && REQUESTED=$(imds "$TAGS/hatchery:deployment" 2>/dev/null) || exit 0
  REQUEST=${REQUESTED%% *}
  seconds_of "$REQUEST" >/dev/null && WANTED=$(wanted) || exit 0
  [[ $WANTED != "$(kept deployed)" ]] || exit 0
  open_log
  PHASE=deployment
  set_traps
  publish "reading settings and tags"
  read_settings
  [[ -z $INVALID ]] || fail "missing or invalid in fleet.env:$INVALID"
  read_tags
  publish "pulling ${#SERVICES[@]} images"
  start database await_database
  start images pull_images
  await images
  await database
  publish "deploying"
  start services run_services
  await services
  answer "done"
  FINISHED=1
  ship
}

bootstrap() {
  local ready rollout
  lock
  [[ $(kept ready) != "$BOOT" ]] || exit 0
  open_log
  connect || { echo "cannot read the instance metadata" && exit 1; }
  find_launch
  # An image that was made of an environment has its markers.
  if [[ $(kept instance) != "$INSTANCE" ]]; then
    rm -f "$STATE"/{timeline,database,new-password,images,cluster,cluster-begun,deleted,services,digests,ready-at,secret,rollout,deployed}
    keep launched "$LAUNCHED" && keep instance "$INSTANCE" || exit 1
  fi
  TIMELINE=$(kept timeline)
  set_traps
  enter booting "reading settings and tags"
  install_units || fail "cannot install the units or start docker"
  read_settings
  [[ -z $INVALID ]] || fail "missing or invalid in fleet.env:$INVALID"
  read_tags
  enter database "waiting for $DATABASE"
  start database await_database
  start images pull_images
  start cluster start_cluster
  await database
  enter images "pulling ${#SERVICES[@]} images"
  await images
  enter cluster "starting minikube"
  await cluster
  # Its images were deleted with it.
  if [[ -e $STATE/deleted ]]; then
    rm -f "$STATE/images"
    start images pull_images
    await images
    rm -f "$STATE/deleted"
  fi
  enter services "deploying"
  start services run_services
  await services
  ready=$(kept ready-at) || ready=$(date -u +%FT%TZ)
  keep ready-at "$ready"
  # Tells that this instance can deploy anew. An older role does not allow it, which must not prevent readiness.
  rollout=$(kept rollout || date -u -d "@$LAUNCHED" '+%FT%TZ done')
  for _ in 1 2 3; do
    write_tags rollout "$rollout" && break
    pause 5
  done
  # Without this tag the environment never counts as ready.
  until enter ready "all services are healthy" "$ready"; do pause 15; done
  keep ready "$BOOT"
  FINISHED=1
  ship
  exit 0
}

BOOT=${HATCHERY_BOOT_ID:-$(cat /proc/sys/kernel/random/boot_id)}
case ${1:-bootstrap} in
bootstrap) bootstrap ;;
deploy) redeploy ;;
dead-man) dead_man ;;
kubeconfig) kubeconfig "${2-28800}" ;;
database-console) database_console ;;
*) echo "usage: bootstrap.sh [bootstrap | deploy | dead-man | kubeconfig [SECONDS] | database-console]" >&2 && exit 2 ;;
esac
