<?php
/** `php seal.php <session id> <login id> <key id> <key in base64>` prints the id as a PHP site sends it. */
[, $id, $lid, $key_id, $key] = $argv;
$url = static function (string $bytes): string {
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
};
$iv = random_bytes(12);
$text = openssl_encrypt($id, 'aes-256-gcm', base64_decode($key), OPENSSL_RAW_DATA, $iv, $tag, $lid);
echo "v1.$key_id.", $url($iv), '.', $url($text . $tag);
