# shellcheck shell=bash
# What the job scripts share: they source this file and call run_job. It starts longhaul on the allocation, hands signals
# on, and decides whether the job goes back into the queue. jobs/README.md tells how restarts work.

set -uo pipefail

LONGHAUL_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
defaults=()         # options of a script, see run_job
max_idle_restarts=3 # in a row, without a new epoch or a new result
lock_wait_s=60      # for the lock on OUTPUT, which a predecessor on another node may still hold

log() { printf '[%s] %s\n' "$(date '+%F %T')" "$*"; }

die() {
    log "error: $*" >&2
    exit 2
}

# seconds_of TEXT   squeue's times ([D-]HH:MM:SS, MM:SS) in seconds; nothing for UNLIMITED, INVALID, NOT_SET and the like.
seconds_of() {
    local days=0 clock="$1" hours=0 minutes seconds
    if [[ $clock =~ ^([0-9]+)-(.*)$ ]]; then
        days="${BASH_REMATCH[1]}" clock="${BASH_REMATCH[2]}"
    fi
    if [[ $clock =~ ^([0-9]+):([0-9]+):([0-9]+)$ ]]; then
        hours="${BASH_REMATCH[1]}" minutes="${BASH_REMATCH[2]}" seconds="${BASH_REMATCH[3]}"
    elif [[ $days = 0 && $clock =~ ^([0-9]+):([0-9]+)$ ]]; then
        minutes="${BASH_REMATCH[1]}" seconds="${BASH_REMATCH[2]}"
    else
        return 0
    fi
    # Ten in front: 08 would be an octal number.
    echo $(((10#$days * 24 + 10#$hours) * 3600 + 10#$minutes * 60 + 10#$seconds))
}

# job_field FORMAT   of this job, as squeue sees it; nothing when the controller does not answer.
job_field() { squeue -h -j "$SLURM_JOB_ID" -o "$1" 2>/dev/null || true; }

# state_stamp OUTPUT   changes whenever state.json is written.
state_stamp() { stat -c '%i %y' "$1/state.json" 2>/dev/null || true; }

# state_of OUTPUT STAMP   the state of the run; "unknown" where this attempt, begun at STAMP, has not come to write one.
state_of() {
    local state=""
    if [ "$(state_stamp "$1")" != "$2" ]; then
        state="$(sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' "$1/state.json" 2>/dev/null)"
    fi
    echo "${state:-unknown}"
}

# count_results OUTPUT   its lines.
count_results() { if [ -r "$1/results.jsonl" ]; then wc -l <"$1/results.jsonl"; else echo 0; fi; }

# newest_epoch OUTPUT   name of the manifest written last: a new one is a new epoch.
newest_epoch() {
    find "$(option_value --checkpoint "$1/checkpoint")" -maxdepth 1 -name 'manifest-*.json' -printf '%T@ %f\n' 2>/dev/null |
        sort -n | tail -n 1 | cut -d' ' -f2
}

# decide STATE CODE IDLE   "requeue" or "stop", and why. IDLE: restarts in a row that have not got further, this one included.
decide() {
    local state="$1" code="$2" idle="$3"
    case "$state,$code" in
    complete,*) echo "stop the queue is done" ;;
    requeue,*) requeue_unless_idle "$idle" "the run saved itself" ;;
    *,[012]) echo "stop exit code $code" ;;
    *) requeue_unless_idle "$idle" "the run ended with exit code $code, state $state" ;;
    esac
}
requeue_unless_idle() {
    if [ "$1" -ge "$max_idle_restarts" ]; then
        echo "stop $1 restarts without a new epoch or result: look for the reason above"
    else
        echo "requeue $2"
    fi
}

# may_requeue STATE REASON   whether the script should ask for it, by squeue's %T and %r. Asking would bring back a job that
# somebody has cancelled; one that Slurm itself requeues (preemption, node failure, scontrol requeue) comes back unasked.
may_requeue() {
    case "$1,$2" in
    RUNNING,* | COMPLETING,TimeLimit) return 0 ;;
    *) return 1 ;;
    esac
}

# The progress of this job over its restarts: OUTPUT/restarts holds "JOB IDLE RESULTS EPOCH" as of the last attempt's start.
# count_idle OUTPUT   sets `idle` for the attempt that starts now.
count_idle() {
    local output="$1" job="" before=0 results="" epoch=""
    if [ -r "$output/restarts" ]; then read -r job before results epoch <"$output/restarts" || true; fi
    idle=0
    if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ "$job" = "$SLURM_JOB_ID" ] && ! got_further "$output" "$results" "$epoch"; then
        idle=$((before + 1))
    fi
    write_file "$output/restarts" "$SLURM_JOB_ID $idle $(count_results "$output") $(newest_epoch "$output")"
}
# got_further OUTPUT RESULTS EPOCH   more than that?
got_further() {
    [ "$(count_results "$1")" -gt "${2:-0}" ] || [ "$(newest_epoch "$1")" != "${3:-}" ]
}

# write_file FILE LINE...
write_file() {
    if ! printf '%s\n' "${@:2}" >"$1.tmp" || ! mv "$1.tmp" "$1"; then die "cannot write $1"; fi
}

# has_option NAME   whether it is among the options of the run.
has_option() {
    local word
    for word in "${options[@]}"; do
        case "$word" in "$1" | "$1="*) return 0 ;; esac
    done
    return 1
}

# option_value NAME DEFAULT   of the run.
option_value() {
    local i value="$2"
    for i in "${!options[@]}"; do
        case "${options[i]}" in
        "$1") value="${options[i + 1]:-$2}" ;;
        "$1="*) value="${options[i]#*=}" ;;
        esac
    done
    echo "$value"
}

# add_defaults WORD...   appends those options (each with the words up to the next one) that the run does not have yet.
add_defaults() {
    local word wanted="" added=()
    for word in "$@"; do
        case "$word" in --*) if has_option "${word%%=*}"; then wanted=""; else wanted=1; fi ;; esac
        [ -z "$wanted" ] || added+=("$word")
    done
    options+=("${added[@]}")
}

# drop_options NAME...   takes them out, with their values.
drop_options() {
    local word kept=() keep=1
    for word in "${options[@]}"; do
        case "$word" in --*) case " $* " in *" ${word%%=*} "*) keep="" ;; *) keep=1 ;; esac ;; esac
        [ -z "$keep" ] || kept+=("$word")
    done
    options=("${kept[@]}")
}

# A predecessor that Slurm has given up may take a while to die.
wait_for_lock() {
    [ -e "$1/lock" ] || return 0
    flock --nonblock "$1/lock" true 2>/dev/null && return
    log "waiting up to $lock_wait_s s for the lock on $1: $(cat "$1/lock" 2>/dev/null)"
    # Where it stays locked, or locks do not work, longhaul says so better.
    flock --wait "$lock_wait_s" "$1/lock" true 2>/dev/null || true
}

describe_job() {
    log "job $SLURM_JOB_ID${SLURM_ARRAY_TASK_ID:+ (element $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_JOB_ID)}, restart ${SLURM_RESTART_COUNT:-0}" \
        "on ${SLURM_JOB_NODELIST:-this node}: $ranks ranks, $ranks_per_node per node, $threads cores each"
}

read_allocation() {
    [ -n "${SLURM_JOB_ID:-}" ] || die "not inside a job of Slurm: submit this script with sbatch"
    ranks="${SLURM_NTASKS:-1}"
    ranks_per_node="${SLURM_NTASKS_PER_NODE:-$(((ranks + ${SLURM_JOB_NUM_NODES:-1} - 1) / ${SLURM_JOB_NUM_NODES:-1}))}"
    threads="${SLURM_CPUS_PER_TASK:-1}"
    export OMP_NUM_THREADS="$threads"
    local site="${LONGHAUL_SITE:-$LONGHAUL_HOME/jobs/site.sh}"
    # shellcheck source=jobs/site.sh
    . "$site" || die "cannot read the site settings $site"
}

# Sets `command`: launcher, program, options.
build_command() {
    case "$launcher" in
    mpirun) command=(mpirun -n "$ranks" "${mpirun_options[@]}" -x OMP_NUM_THREADS) ;;
    # srun does not take over the job's --cpus-per-task.
    srun) command=(srun --ntasks="$ranks" --cpus-per-task="$threads" "${srun_options[@]}") ;;
    *) die "site settings: launcher is mpirun or srun, not '$launcher'" ;;
    esac
    command+=("${longhaul[@]}" run --model "$model" --queue "$queue" --output "$output" "${options[@]}")
    local left
    left="$(seconds_of "$(job_field %L)")"
    [ -z "$left" ] || has_option --time-limit || command+=(--time-limit "${left}s")
}

# The launcher hands USR1 on to every rank; TERM it would turn into an abort.
pass_on_signal() {
    caught=1 stopping=1
    [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null || true
}

# Runs the command in the background, since bash runs traps only between commands; sets `code`.
launch() {
    if [ -n "$stopping" ]; then
        code=75
        return
    fi
    "${command[@]}" </dev/null &
    pid=$!
    # One that came before there was a process to hand it to.
    [ -z "$stopping" ] || kill -USR1 "$pid" 2>/dev/null || true
    while true; do
        caught=""
        wait "$pid"
        code=$?
        [ -n "$caught" ] || break
    done
    pid=""
}

# Goes back into the queue, or ends with the run's exit code.
conclude() {
    local state verdict
    state="$(state_of "$output" "$stamp")"
    got_further "$output" "$results_before" "$epoch_before" && idle=0
    verdict="$(decide "$state" "$code" "$idle")"
    log "exit code $code, state $state: $verdict"
    [ "${verdict%% *}" = requeue ] || exit "$code"
    local job="" reason tries
    for ((tries = 0; tries < 6; ++tries)); do
        job="$(job_field %T)" reason="$(job_field %r)"
        [ -z "$job" ] || break
        sleep 10
    done
    [ -n "$job" ] || die "squeue does not answer; submit job $SLURM_JOB_ID again to go on"
    if ! may_requeue "$job" "$reason"; then
        log "not requeued from here: Slurm is ending this job itself ($job)"
        exit "$code"
    fi
    scontrol requeue "$SLURM_JOB_ID" || die "scontrol could not requeue job $SLURM_JOB_ID; submit it again to go on"
    sleep 60 # ended by the requeue
    exit "$code"
}

# run_job MODEL QUEUE OUTPUT [OPTION...]   the whole life of an attempt; does not return. Options that the script puts into
# `defaults` and the site into `run_options` are used where the command line has none of that name.
run_job() {
    [ $# -ge 3 ] || die "give MODEL QUEUE OUTPUT, then options of longhaul run; see jobs/README.md"
    model="$1" queue="$2" output="$3" options=("${@:4}")
    pid="" caught="" stopping="" code=0
    trap pass_on_signal USR1 TERM
    read_allocation
    add_defaults "${defaults[@]}" "${run_options[@]}" --threads "$threads"
    # A restart goes on from the checkpoint that the first attempt was not to look at.
    [ "${SLURM_RESTART_COUNT:-0}" = 0 ] || drop_options --fresh
    mkdir -p "$output" || die "cannot make $output"
    describe_job
    wait_for_lock "$output"
    write_file "$output/launch" "$(realpath -ms "$model")" "$(realpath -ms "$queue")" "$ranks" "${options[@]}"
    count_idle "$output"
    if [ "$idle" -gt "$max_idle_restarts" ]; then
        die "stopping after $max_idle_restarts restarts without a new epoch or result: look for the reason above"
    fi
    stamp="$(state_stamp "$output")"
    results_before="$(count_results "$output")" epoch_before="$(newest_epoch "$output")"
    build_command
    log "${command[*]}"
    launch
    trap '' USR1 TERM
    conclude
}

# resume_job OUTPUT [OPTION...]   run_job with what OUTPUT/launch remembers; options given here replace those of that name, and
# a grid made for another number of ranks is left to longhaul to choose anew.
resume_job() {
    [ $# -ge 1 ] || die "give OUTPUT, then options of longhaul run that are to be different; see jobs/README.md"
    local launch=() name grid=(--replicas --spp --kvp --tp) other_grid="" given=("${@:2}") saved
    mapfile -t launch 2>/dev/null <"$1/launch"
    [ ${#launch[@]} -ge 3 ] || die "there is no $1/launch: this script resumes runs that one of the others has started"
    [ "${launch[2]}" = "${SLURM_NTASKS:-1}" ] || other_grid=1
    options=("${given[@]}")
    for name in "${grid[@]}"; do
        if has_option "$name"; then other_grid=1; fi
    done
    options=("${launch[@]:3}")
    drop_options --fresh --threads ${other_grid:+"${grid[@]}"}
    saved=("${options[@]}")
    options=("${given[@]}")
    add_defaults "${saved[@]}"
    run_job "${launch[0]}" "${launch[1]}" "$1" "${options[@]}"
}
