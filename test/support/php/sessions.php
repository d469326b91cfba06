<?php
/**
 * Random PHP sessions, as PHP itself writes them: `php sessions.php generate <seed> <number> <handler>` prints a line of JSON
 * for each: the session, one of its variables, and the session after `$_SESSION[variable] = NULL`.
 *
 * `php sessions.php same <handler>` reads lines of two sessions each and prints whether PHP reads equal values from both.
 */
foreach (['save_handler' => 'files', 'save_path' => sys_get_temp_dir(), 'use_cookies' => '0', 'cache_limiter' => ''] as $name => $value) {
    ini_set("session.$name", $value);
}

class Point
{
    public $a;
    protected $b;
    private $c;

    public function __construct($a, $b, $c)
    {
        [$this->a, $this->b, $this->c] = [$a, $b, $c];
    }
}

enum Suit: string
{
    case Hearts = 'h';
    case Spades = 's';
}

const FLOATS = [0.1, 1e100, -0.0, INF, -INF, NAN, 1 / 3, 1e-7, 123456789.25];
const AWKWARD = ['é', '日本', '|', '";}', 'N;'];

function text(): string
{
    $text = '';
    for ($left = mt_rand(0, 12); $left > 0; $left--) $text .= mt_rand(0, 3) ? chr(mt_rand(0, 255)) : AWKWARD[mt_rand(0, 4)];
    return $text;
}

/** `$pool`: objects that may come again. */
function value(int $depth, array &$pool)
{
    if ($pool && mt_rand(0, 9) === 0) return $pool[array_rand($pool)];
    switch (mt_rand(0, $depth > 4 ? 6 : 12)) {
        case 0: return null;
        case 1: return (bool) mt_rand(0, 1);
        case 2: return mt_rand() - 1000000000;
        case 3: return FLOATS[mt_rand(0, 8)];
        case 4: case 5: case 6: return text();
        case 7: return $pool[] = new Point(value($depth + 1, $pool), value($depth + 1, $pool), value($depth + 1, $pool));
        case 8: return $pool[] = (object) ['x' => value($depth + 1, $pool), 'y z' => value($depth + 1, $pool)];
        case 9: return mt_rand(0, 1) ? Suit::Hearts : Suit::Spades;
        case 10: return $pool[] = new ArrayObject([1, value($depth + 1, $pool)]);
    }
    $array = [];
    for ($left = mt_rand(0, 4); $left > 0; $left--) $array[mt_rand(0, 1) ? text() : mt_rand(-5, 50)] = value($depth + 1, $pool);
    if ($array && mt_rand(0, 3) === 0) $array['ref'] = &$array[array_key_first($array)];
    return $array;
}

/** Returns the variable that is to be NULL. */
function fill_session(): string
{
    $pool = [];
    $_SESSION = [];
    $count = mt_rand(1, 6);
    for ($i = 0; $i < $count; $i++) $_SESSION["k$i"] = value(0, $pool);
    $field = 'k' . mt_rand(0, $count - 1);
    $other = 'k' . mt_rand(0, $count - 1);
    if ($field !== $other && mt_rand(0, 2) === 0) $_SESSION['alias'] = &$_SESSION[$field];
    if (mt_rand(0, 3) === 0) {
        $_SESSION['object'] = new stdClass();
        $_SESSION['object']->other = &$_SESSION[$other];
    }
    if (mt_rand(0, 5) === 0) {
        $_SESSION['self'] = [];
        $_SESSION['self']['me'] = &$_SESSION['self'];
    }
    return $field;
}

function decoded(string $data): string
{
    $_SESSION = [];
    if (!session_decode(base64_decode($data))) return 'unreadable';
    ob_start();
    var_dump($_SESSION);
    return preg_replace(['/#\d+ \(/', '/^(\s*)\*RECURSION\*$/m', '/^(\s*)&/m'], ['(', '$1', '$1'], ob_get_clean());
}

[, $act] = $argv;
ini_set('session.serialize_handler', end($argv));
session_start();
if ($act === 'generate') {
    mt_srand((int) $argv[2]);
    for ($left = (int) $argv[3]; $left > 0; $left--) {
        $field = fill_session();
        $data = session_encode();
        $_SESSION = [];
        session_decode($data); // as another request reads it
        $_SESSION[$field] = null;
        echo json_encode(['field' => $field, 'data' => base64_encode($data), 'nulled' => base64_encode(session_encode())]), "\n";
    }
} else {
    foreach (file('php://stdin') as $line) {
        [$one, $other] = json_decode($line);
        echo json_encode(decoded($one) === decoded($other) && decoded($one) !== 'unreadable'), "\n";
    }
}
session_destroy();
