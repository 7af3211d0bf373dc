package MediaObject;

# What S3 itself says of an object and its bytes, asked with the test's own keys.

use v5.30;
use warnings;

use Exporter 'import';
use MediaTest;

our @EXPORT = qw(key_of s3_head s3_get s3_vendor);

sub s3_vendor { return $ENV{MEDIA_S3_VENDOR} // 'minio' }

# The key in the row of a media
sub key_of { my ($id) = @_; return sql("SELECT object_key FROM media WHERE id = '$id'") }

# {status, and headers by their lower-case names}; more arguments are header lines. Checksums are asked for.
sub s3_head {
    my ($key, @headers) = @_;
    my $text = s3_curl($key, '-I', map { ('-H', $_) } 'x-amz-checksum-mode: ENABLED', @headers);
    my %head = map { /^([^:]+):\s*(.*?)\r?$/ ? (lc $1, $2) : () } split /\n/, $text;
    ($head{status}) = $text =~ m{^HTTP/\S+ (\d+)};
    return \%head;
}

sub s3_get { my ($key) = @_; return s3_curl($key, '-f') }

1;
