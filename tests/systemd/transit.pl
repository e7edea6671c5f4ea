# A transit engine that keeps everything in the open and wants a token; where there is /etc/silent, it
# takes questions and says nothing.
use IO::Socket::INET;
my ($address) = $ARGV[0] =~ m{//(.*)};
my $all = IO::Socket::INET->new(LocalAddr => $address, Listen => 9, ReuseAddr => 1) or die;
exit if fork;
my @silent;
while (my $one = $all->accept) {
    if (-e "/etc/silent") { push @silent, $one; next }
    my ($length, $token) = (0, "");
    while (<$one>) {
        last if /^\r?$/;
        $length = $1 if /^content-length: *(\d+)/i;
        $token = $1 if /^x-vault-token: *(\S+)/i;
    }
    read $one, my $body, $length;
    my @texts = $body =~ /"ciphertext": *"vault:v1:([^"]*)"/g;
    my $results = join ",", map { qq({"plaintext":"$_"}) } @texts;
    my ($status, $answer) = (200, qq({"data":{"batch_results":[$results]}}));
    ($status, $answer) = (403, '{"errors":["permission denied"]}') if $token ne "hvs.canary-token";
    printf $one "HTTP/1.1 %s Told\r\ncontent-type: application/json\r\ncontent-length: %s\r\nconnection: close\r\n\r\n%s",
        $status, length $answer, $answer;
    close $one;
}
