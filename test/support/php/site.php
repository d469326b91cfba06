<?php
/**
 * The example site with some pages more, for trials: `php -S ... -t examples/php test/support/php/site.php`.
 *
 *   /held?do=reads|changes|regenerates|copies|closes&guard=1|0&name=N   says that it has read its session, goes on when told to
 *   /who                                                  who is logged in, without the guard: what the session says
 *   /api                                                  as a guarded route of data
 *   /early                                                asks the guard before the session has started
 *   /latelogin                                            logs in when output has begun
 *   /dressed?option=prefix|serializer                     gets a new id, then asks with a connection that has options of the app's
 *   /late                                                 asks it when output has begun, under a handler that throws at everything
 */
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (!in_array($path, ['/held', '/who', '/api', '/early', '/late', '/latelogin', '/dressed'], true)) return false;

if ($path === '/who') {
    session_start(['read_and_close' => true]);
    exit(json_encode(['user' => $_SESSION['username'] ?? null]));
}

$bouncer = require __DIR__ . '/../../../examples/php/config.php';
if ($path === '/early') {
    $bouncer->guard();
    exit('after the guard');
}
session_start();
if ($path === '/latelogin') {
    $id = session_id();
    while (ob_get_level() > 0) ob_end_flush();
    echo ' ';
    flush();
    $_SESSION['username'] = $_GET['user'] ?? 'ann';
    $told = $bouncer->report_login($_SESSION['username']);
    exit(json_encode(['told' => $told, 'same' => session_id() === $id]));
}
if ($path === '/late') {
    set_error_handler(function (int $number, string $text) { // as many sites have it: deaf to @
        throw new ErrorException($text, 0, $number);
    });
    echo 'output has begun';
    while (ob_get_level() > 0) ob_end_flush();
    flush();
    $bouncer->guard();
    exit(', after the guard');
}
if ($path === '/dressed') {
    session_regenerate_id(true);
    $dress = ['prefix' => [Redis::OPT_PREFIX, 'app:'], 'serializer' => [Redis::OPT_SERIALIZER, Redis::SERIALIZER_JSON]];
    $dressed = new SessionBouncer([
        'redis' => function () use ($dress) {
            $redis = new Redis();
            $redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) getenv('REDIS_PORT'));
            $redis->setOption(...$dress[$_GET['option']]);
            return $redis;
        },
        'prefix' => getenv('BOUNCER_PREFIX'),
        'ingest' => getenv('BOUNCER_INGEST'),
        'secret' => getenv('BOUNCER_SECRET'),
        'keys' => ['k1' => getenv('BOUNCER_KEY')],
        'proxies' => 1,
    ]);
    $dressed->guard();
    exit($_SESSION['username'] ?? '');
}
if ($path === '/api' || $_GET['guard'] === '1') $bouncer->guard();
if ($path === '/api') exit(json_encode(['user' => $_SESSION['username'] ?? null]));

$redis = new Redis();
$redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) getenv('REDIS_PORT'));
$trial = getenv('BOUNCER_PREFIX') . ':trial:' . $_GET['name'];
$id = session_id();
if ($_GET['do'] === 'closes') {
    session_regenerate_id(true);
    session_write_close();
}
$redis->set("$trial:in", '1', 60);
usleep(150000);
for ($i = 0; $i < 4000 && !$redis->exists("$trial:go"); $i++) usleep(5000);
if ($_GET['do'] === 'changes') $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
if ($_GET['do'] === 'regenerates' || $_GET['do'] === 'copies') session_regenerate_id(true);
if ($_GET['do'] === 'copies') $_SESSION = ['username' => $_SESSION['username']];
echo json_encode(['user' => $_SESSION['username'] ?? null, 'moved' => session_id() !== $id]);
