<?php
/**
 * Writes sessions as a site with phpredis does: `php write-session.php <redis host:port> <prefix> <handler>`, and on standard
 * input a line of JSON for each: the session's id and its variables. With "read" as a fourth argument it prints the variables.
 */
[, $server, $prefix, $handler] = $argv;
foreach ([
    'save_handler' => 'redis', 'save_path' => "tcp://$server?prefix=" . urlencode($prefix), 'serialize_handler' => $handler,
    'use_cookies' => '0', 'cache_limiter' => '', 'use_strict_mode' => '0',
] as $name => $value) {
    ini_set("session.$name", $value);
}
$out = '';
foreach (file('php://stdin') as $line) {
    [$id, $variables] = json_decode($line, true);
    session_id($id);
    session_start();
    if (isset($argv[4])) {
        $out .= json_encode($_SESSION) . "\n";
        session_abort();
    } else {
        $_SESSION = $variables;
        session_write_close();
    }
}
echo $out;
