# The module in Debian's nginx: the way its service tests and starts it, and worker processes that have given
# root up

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use File::Temp ();

my $routes = upload_server();
my $www = getpwnam 'www-data';

# As Debian's nginx.conf, with its modules-enabled/*.conf
sub debian_conf {
    my ($dir, $user) = @_;
    mkdir "$dir/modules-enabled";
    MediaNginx::spew("$dir/modules-enabled/50-mod-http-media.conf", "load_module $ENV{TEST_NGINX_LOAD_MODULES};\n");
    return join "\n", $user, 'worker_processes auto;', "pid $dir/nginx.pid;", "error_log $dir/error.log;",
        "include $dir/modules-enabled/*.conf;", media_main(), 'events { worker_connections 768; }',
        'http { sendfile on; tcp_nopush on; types_hash_max_size 2048; include /etc/nginx/mime.types;',
        'default_type application/octet-stream; gzip on; access_log off;',
        (map { "${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi)),
        media_http(), 'server { listen 127.0.0.1:' . ($ENV{TEST_NGINX_PORT} // 1984) . ';', $routes, '}', '}', '';
}

my $dir = File::Temp->newdir;
MediaNginx::spew("$dir/nginx.conf", debian_conf($dir, $> == 0 ? 'user www-data;' : ''));

# ExecStartPre of its unit
my ($exit, $said) = MediaNginx::config_test("$dir", qw(-q -g), 'daemon on; master_process on;', '-e', "$dir/error.log");
is("$exit $said", '0 ', 'nginx -t as the service runs it: silent');
is(-s "$dir/error.log", 0, 'nothing is logged');

SKIP: {
    skip 'needs root and www-data', 8 if $> != 0 || !defined $www;
    my $pass = File::Temp->new;
    print {$pass} MediaNginx::slurp(MediaTest::secret_file('pgpass-media_gateway'));
    close $pass;
    chown $www, -1, $pass->filename;
    my $nginx = do {
        local $ENV{PGPASSFILE} = $pass->filename;
        MediaNginx->start(user => 'www-data', workers => 2, server => $routes,
            main => media_main() =~ s/^env PGPASSFILE=.*;$/env PGPASSFILE;/mr);
    };
    my $bytes = mp4(300_000);
    my $is_www = sub { MediaNginx::slurp("/proc/$_[0]/status") =~ /^Uid:\t$www\t$www\t/m };
    ok(eval { $nginx->await('workers', sub { 2 == grep { $is_www->($_) } $nginx->workers }, 5) }, 'the workers are www-data');
    committed($nginx->ask(put('www.mp4', $bytes)), $bytes, 'an upload to www-data', bytes => 1);
    $nginx->stop;
}

done_testing();
