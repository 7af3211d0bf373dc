# shellcheck shell=sh
# Before the broker: configuration, who its fellows are, and the cookie, which has to be a file of its own user's alone.
set -eu
mkdir -p /etc/rabbitmq/conf.d
cp /config/enabled_plugins /etc/rabbitmq/enabled_plugins
cp /config/rabbitmq.conf /etc/rabbitmq/conf.d/10-media.conf
i=0
while [ "$i" -lt "$MEMBERS" ]; do
    echo "cluster_formation.classic_config.nodes.$((i + 1)) = rabbit@rabbitmq-$i.rabbitmq-members.$POD_NAMESPACE.svc"
    i=$((i + 1))
done >/etc/rabbitmq/conf.d/20-members.conf
echo "cluster_formation.target_cluster_size_hint = $MEMBERS" >>/etc/rabbitmq/conf.d/20-members.conf
echo "quorum_queue.continuous_membership_reconciliation.target_group_size = $MEMBERS" >>/etc/rabbitmq/conf.d/20-members.conf
rm -f /var/lib/rabbitmq/.erlang.cookie
(umask 077 && cp /run/secrets/media-amqp/cookie /var/lib/rabbitmq/.erlang.cookie)
chmod 0400 /var/lib/rabbitmq/.erlang.cookie
