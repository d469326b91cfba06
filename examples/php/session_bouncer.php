<?php
/**
 * session-bouncer for PHP sessions that phpredis keeps in Redis. One file to copy; PHP 7.4 or newer, ext-redis,
 * ext-openssl, allow_url_fopen. docs/php.md says what it protects and what not. After session_start():
 *     $bouncer = new SessionBouncer(['secret' => 'whsec_...', 'keys' => ['k1' => '<32 bytes in base64>'], 'redis' => ...]);
 *     $bouncer->guard();                 // every page but those for logging in and out, and the gotcha page
 *     $bouncer->report_login($userId);   // where somebody has just logged in
 */
final class SessionBouncer {
    private const DEFAULTS = [
        'redis' => null,           // function that returns a newly connected Redis: the worker's redisUrl
        'prefix' => 'bouncer',     // the worker's prefix
        'field' => 'username',     // the worker's phpField: what in $_SESSION says who is logged in
        'keys' => [],              // the worker's phpKeys: name => 32 bytes in base64; the first one seals
        'secret' => '', 'ingest' => 'http://127.0.0.1:8990', // of "session-bouncer ingest"
        'timeout' => 0.25,         // seconds that the ingest may take to be connected, and to answer
        'gotcha' => '/gotcha.php', // where the holder of an ended session is sent; a path or URL without a query
        'proxies' => 0,            // how many proxies of your own each add an address to X-Forwarded-For
        'ttl' => 30 * 86400,       // seconds that the ids of a login are known after its last guarded request
    ];
    private const OWN = ['bouncer_lid' => 1, 'bouncer_at' => 1, 'bouncer_id' => 1];
    private array $options;
    private ?Redis $redis = null;
    private ?array $own = null; // what of OWN was in this request's session; null: not looked yet
    public function __construct(array $options) {
        $this->options = $options + self::DEFAULTS;
        $key = base64_decode((string) reset($this->options['keys']), true);
        if (strncmp($this->options['secret'], 'whsec_', 6) || !is_callable($this->options['redis']) || strlen((string) $key) !== 32
            || !preg_match('/^[\w-]{1,32}$/D', (string) key($this->options['keys']))) throw new InvalidArgumentException(
            'session-bouncer: give secret (whsec_...), redis (a function) and keys (name of 1 to 32 of A-Za-z0-9_- => 32 bytes)');
    }
    /** Somebody has logged in: a new session id, and the worker hears of it. Never throws; false: it could not be told. */
    public function report_login($userId): bool {
        try {
            if (is_array($userId) || !preg_match('//u', (string) $userId)) return $this->failed('report_login(): the user id is not UTF-8 text');
            if (!@session_regenerate_id(true)) $this->failed('report_login() after output: the session keeps its old id');
            if (session_status() !== PHP_SESSION_ACTIVE) return $this->failed('report_login() needs a session');
            $lid = substr($this->hash((string) $userId), 0, 16) . $this->base64url(random_bytes(16));
            $at = (int) (microtime(true) * 1000);
            $_SESSION = ['bouncer_lid' => $lid, 'bouncer_at' => $at] + array_diff_key($_SESSION, self::OWN);
            $this->mark();
            return $this->post('/v1/logins', "login-$lid", ['userId' => (string) $userId, 'lid' => $lid, 'loginAt' => $at,
                'handle' => $this->hash(session_id()), 'php' => $this->seal(session_id(), $lid)]);
        } catch (Throwable $error) { return $this->failed(get_class($error)); }
    }
    /** Lets the request go on; if its login has ended, answers it and exits. Redis away: it goes on. */
    public function guard(): void {
        if (isset($_COOKIE[session_name()]) && (string) session_id() === '') $this->failed('guard() before session_start()');
        if (($mark = $this->mark()) === null) return;
        if (in_array($mark['reason'] ?? '', ['logout', 'forced_logout'], true)) { // no thief: plain logged out, in a new session
            $_SESSION = $this->own = [];
            if (!headers_sent()) @session_regenerate_id(true);
            return;
        }
        $_SESSION = $this->stub();
        try { @session_write_close(); } catch (Throwable $error) { $this->failed(get_class($error)); } // bounced all the same
        $this->visit($mark['caseId'], 'refused');
        if (headers_sent()) exit((string) $this->failed('guard() after output: the page was cut off, without a redirect'));
        $cookie = session_get_cookie_params(); // by hand: setcookie() would send the id "deleted", which others share
        header('Set-Cookie: ' . session_name() . '=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=' . $cookie['path']
            . ($cookie['domain'] ? '; Domain=' . $cookie['domain'] : '') . ($cookie['secure'] ? '; Secure' : '')
            . ($cookie['httponly'] ? '; HttpOnly' : '') . ($cookie['samesite'] ? '; SameSite=' . $cookie['samesite'] : ''), false);
        header('Cache-Control: no-store');
        $page = stripos($_SERVER['HTTP_ACCEPT'] ?? '', 'text/html') !== false && empty($_SERVER['HTTP_X_REQUESTED_WITH']);
        if ($page) header("Location: {$this->options['gotcha']}?case=" . rawurlencode($mark['caseId']), true, 303);
        else header('Content-Type: application/json', true, 401);
        exit($page ? '' : '{"code":"session_ended"}');
    }
    /** For the gotcha page: the case number that it was opened with, or ''. The worker hears of the visit. */
    public function gotcha_case(): string {
        $case = $_GET['case'] ?? '';
        if (!is_string($case) || !preg_match('/^[0-9A-Z]{4}(-[0-9A-Z]{4}){2}$/D', $case)) return '';
        $this->visit($case, 'gotcha');
        return $case;
    }
    /** @internal Before PHP writes the session: it may have a new id, or its login may have ended meanwhile. */
    public function finish(): void {
        $active = session_status() === PHP_SESSION_ACTIVE;
        if ($active && isset($_SESSION[$this->options['field']])) $_SESSION += $this->own; // copied to a fresh session: the same login
        if (!$active && strtok($_SESSION['bouncer_id'] ?? '', '.') === $this->hash((string) session_id())) return; // saved before
        if ($this->mark() !== null && $active) $_SESSION = $this->stub();
    }
    /** Enrols a new id under its login FIRST, then reads whether the login has ended. Only then may the id be saved. */
    private function mark(): ?array {
        if ($this->own === null && ($this->own = []) === []) register_shutdown_function([$this, 'finish']);
        $lid = $_SESSION['bouncer_lid'] ?? null;
        if (!is_string($lid) || !preg_match('/^[\w-]{38}$/D', $lid) || (string) session_id() === '') return null;
        $handle = $this->hash(session_id()) . '.' . array_key_first($this->options['keys']); // sealed anew with a new key
        if (!$replies = $this->ask($lid, $handle, true)) return null;
        $_SESSION['bouncer_id'] = in_array(false, $replies, true) ? '' : $handle; // not enrolled, or Redis forgot: again next time
        $this->own = array_intersect_key($_SESSION, self::OWN);
        [$mark, $epoch] = [json_decode((string) end($replies)[0], true), end($replies)[1]];
        if (isset($mark['caseId']) && !isset($mark['liftedAtMs'])) return $mark;
        return (int) $epoch >= ($_SESSION['bouncer_at'] ?? 1) ? ['reason' => 'forced_logout'] : null; // an epoch ends all until then
    }
    /** Whether we wrote, what Redis answered to each command, and last its mark and epoch; [] if these cannot be read. */
    private function ask(string $lid, string $handle, bool $write): array {
        [$prefix, $tag, $used] = [$this->options['prefix'], '{' . substr($lid, 0, 16) . '}', $this->redis];
        $ids = "$prefix:php-ids:$tag:$lid";
        try {
            $this->redis = $used ?? $this->options['redis']();
            // Whatever the app has for its own: the worker reads and writes plain keys and values.
            foreach ([Redis::OPT_PREFIX, Redis::OPT_SERIALIZER, Redis::OPT_COMPRESSION] as $option) $this->redis->setOption($option, '');
            $pipe = $this->redis->multi(Redis::PIPELINE);
            if ($write && ($_SESSION['bouncer_id'] ?? '') !== $handle) $pipe->hSet($ids, strtok($handle, '.'), $this->seal(session_id(), $lid));
            if ($write) $pipe->expire($ids, $this->options['ttl']);
            $pipe->mGet(["$prefix:login-end:$tag:$lid", "$prefix:epoch:$tag"]);
            $replies = array_merge([$write], (array) $pipe->exec());
            if (is_array(end($replies))) return $replies;
            throw new RedisException('no answer'); // phpredis says false where Redis gave an error or went away
        } catch (Throwable $error) {
            if ($this->redis) $this->redis->close(); // answers may be left in it
            $this->redis = null;
            preg_match('/^[A-Z]{2,20}(?= )/', $error->getMessage(), $code); // Redis's own: READONLY, MISCONF, OOM
            if (!$used || $code) $this->failed(get_class($error) . ($code ? " $code[0]" : ''));
            return $used || ($write && $code) ? $this->ask($lid, $handle, $write && !$code) : []; // who may not write may still read
        }
    }
    /** What stays of an ended session: nobody is logged in, and whoever brings its id again is known. */
    private function stub(): array { return $this->own + [$this->options['field'] => null]; }
    private function visit(string $case, string $kind): void {
        $path = substr(strtok($_SERVER['REQUEST_URI'] ?? '', '?') ?: '/', 0, 256); // the query may hold secrets
        $seen = ['case' => $case, 'kind' => $kind, 'method' => $_SERVER['REQUEST_METHOD'] ?? '', 'path' => $path];
        try { $this->post('/v1/visits', 'visit-' . bin2hex(random_bytes(16)), $seen); }
        catch (Throwable $error) { $this->failed(get_class($error)); } // a site's error handler may throw what @ hides
    }
    private function post(string $path, string $id, array $data): bool { // signed as Standard Webhooks say
        $hops = array_reverse(explode(',', ($_SERVER['HTTP_X_FORWARDED_FOR'] ?? '') . ',' . ($_SERVER['REMOTE_ADDR'] ?? '')));
        $hop = preg_replace('/^\[(.+)\](:\d+)?$|^([\d.]+):\d+$/D', '$1$3', trim($hops[$this->options['proxies']] ?? '')); // with a port
        if (!$data['address'] = filter_var($hop, FILTER_VALIDATE_IP) ?: null) $this->failed('no client address: compare "proxies"');
        $data['userAgent'] = substr($_SERVER['HTTP_USER_AGENT'] ?? '', 0, 512); // a larger body would be refused
        [$at, $text] = [time(), json_encode($data, JSON_INVALID_UTF8_SUBSTITUTE)];
        $sign = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$text", base64_decode(substr($this->options['secret'], 6)), true));
        $headers = ['Content-Type: application/json', "webhook-id: $id", "webhook-timestamp: $at", "webhook-signature: $sign"];
        $http = ['method' => 'POST', 'header' => $headers, 'content' => $text, 'ignore_errors' => true, 'follow_location' => 0];
        if (!ini_get('allow_url_fopen')) return $this->failed('allow_url_fopen is off in php.ini: the ingest cannot be told');
        $answer = @fopen($this->options['ingest'] . $path, 'r', false, stream_context_create(['http' => $http + ['timeout' => $this->options['timeout']]]));
        $status = $answer ? substr(stream_get_meta_data($answer)['wrapper_data'][0] ?? '', 9, 3) : 'nothing';
        return $status === '202' || $this->failed("the ingest answered $status");
    }
    private function seal(string $id, string $lid): string { // opened with the worker's phpKeys, for this login only
        [$name, $iv] = [array_key_first($this->options['keys']), random_bytes(12)];
        $text = openssl_encrypt($id, 'aes-256-gcm', base64_decode($this->options['keys'][$name]), OPENSSL_RAW_DATA, $iv, $tag, $lid);
        return "v1.$name." . $this->base64url($iv) . '.' . $this->base64url($text . $tag);
    }
    private function hash(string $text): string { return $this->base64url(hash('sha256', $text, true)); }
    private function base64url(string $bytes): string { return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '='); }
    private function failed(string $why): bool { error_log("session-bouncer: $why"); return false; } // never into the page
}
