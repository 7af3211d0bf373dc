# "media on" lifts core's limit of 1m on bodies, there alone, and not one that was written

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $bytes = mp4(1_100_000);

# PUT /NAME/upload/a.mp4 never matches a route: what is tried is the limit in front of it
sub probe {
    my ($nginx, $location, $size) = @_;
    return $nginx->ask(http("POST /$location/x", "Content-Length: $size\nConnection: close\n"))->{status};
}

my $nginx = MediaNginx->start(server => upload_server(lines => [
    'location /plain/ { try_files /none =404; }',
    'location /ours/ { media on; }',
    'location /off/ { media off; try_files /none =404; }',
    'location /written/ { client_max_body_size 2k; media on; }',
    'location /more/ { client_max_body_size 3m; media on; }',
    'location /outer/ { client_max_body_size 2k; location /outer/inner/ { media on; } }',
]));

committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'more than 1m');
is(probe($nginx, 'plain', 1_048_577), 413, 'elsewhere it holds');
is(probe($nginx, 'off', 1_048_577), 413, 'with "media off" it holds');
is(probe($nginx, 'ours', 1_048_577), 404, 'with "media on" it is lifted');
is(probe($nginx, 'ours', 10**12), 404, 'altogether');
is(probe($nginx, 'written', 2048), 404, 'a written limit: as much as it says');
is(probe($nginx, 'written', 2049), 413, 'a written limit: not a byte more');
is(probe($nginx, 'more', 3_145_728), 404, 'a larger written limit: as much as it says');
is(probe($nginx, 'more', 3_145_729), 413, 'a larger written limit: not a byte more');
is(probe($nginx, 'outer/inner', 2049), 413, 'a written limit is inherited');

my $client = $nginx->client;
$client->send(http('PUT /written/x', bearer('anna') . "Content-Length: 2049\nExpect: 100-continue\n"));
problem($client->answer, 413, 'too_large', 'core\'s refusal');
$nginx->stop;

$nginx = MediaNginx->start(
    http => media_http(client_max_body_size => '5k'), server => upload_server());
is($nginx->ask(put('a.mp4', mp4(5121)))->{status}, 413, 'a limit written in http{} holds');
committed($nginx->ask(put('a.mp4', mp4(5120))), mp4(5120), 'as much as it says');
$nginx->stop;

done_testing();
