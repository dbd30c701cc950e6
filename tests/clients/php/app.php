<?php
// PHP's own sessions, with the handler of phpredis. Its settings come by the command line.

function fail(): never
{
    http_response_code(503);
    exit('no session');
}

function say(string $text): never
{
    session_write_close() || fail();
    exit($text);
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/versions') {
    $locks = ini_get('redis.session.locking_enabled') ? 'locked' : 'not locked';
    exit('phpredis ' . phpversion('redis') . "\n" . 'PHP ' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION
        . ", sessions $locks");
}
session_start() || fail();
switch ($path) {
    case '/login':
        // A login gets an id of its own.
        session_regenerate_id(true) || fail();
        $_SESSION = ['user' => $_GET['user'], 'count' => 0];
        say($_SESSION['user']);
    case '/whoami':
        say($_SESSION['user'] ?? 'nobody');
    case '/count':
        $_SESSION['count'] += 1;
        say((string)$_SESSION['count']);
    case '/logout':
        session_destroy() || fail();
        exit('bye');
}
http_response_code(404);
