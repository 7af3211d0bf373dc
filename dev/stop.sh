# shellcheck shell=bash
# Stops everything: clients before their servers, so that none has to report a loss.

stop_all() {
    local servers=(postgres rabbitmq s3 smtp) name clients=()
    for name in $(proc_names); do
        case $name in
        nginx | epmd | postgres | rabbitmq | s3 | smtp) ;;
        *) clients+=("$name") ;;
        esac
    done
    proc_stop "${clients[@]}"
    proc_stop nginx
    proc_stop "${servers[@]}"
    proc_stop epmd
}
