<?php
/** The site's own settings: PHP's session, and the bouncer. Every page begins with: $bouncer = require 'config.php'; */

require_once __DIR__ . '/session_bouncer.php';

// An id that we have not given out is refused, and JavaScript cannot read the cookie. In production also 'secure' => true.
ini_set('session.use_strict_mode', '1');
session_set_cookie_params(['httponly' => true, 'samesite' => 'Lax']);

$timeout = (float) (getenv('BOUNCER_TIMEOUT') ?: 0.25); // seconds: no page waits much longer for us

return new SessionBouncer([
    'redis' => function () use ($timeout) {
        $redis = new Redis();
        $redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) (getenv('REDIS_PORT') ?: 6379), $timeout, null, 0, $timeout);
        return $redis;
    },
    'timeout' => $timeout,
    'prefix' => getenv('BOUNCER_PREFIX') ?: 'bouncer',
    'ingest' => getenv('BOUNCER_INGEST') ?: 'http://127.0.0.1:8990',
    'secret' => (string) getenv('BOUNCER_SECRET'),
    'keys' => ['k1' => (string) getenv('BOUNCER_KEY')],
    'proxies' => (int) getenv('BOUNCER_PROXIES'),
]);
