// Express with express-session and connect-redis. In the environment: STORE (HOST:PORT), TTL_S, NODE_PATH
// (node_modules), and the names there of CLIENT (redis-N or ioredis-N) and SESSIONS (connect-redis-N).
'use strict';

const express = require('express');
const fs = require('fs');
const path = require('path');
const session = require('express-session');

const [host, port] = process.env.STORE.split(':');
const clientName = process.env.CLIENT;
const storeName = process.env.SESSIONS;

// Both clients connect again by themselves; an error that nobody listens to would end the process.
async function connect() {
    if (clientName.startsWith('ioredis')) {
        const { Redis } = require(clientName);
        return new Redis({ host, port }).on('error', () => {});
    }
    const client = require(clientName).createClient({ url: `redis://${host}:${port}` });
    return client.on('error', () => {}).connect();
}

// Read as a file: not every package lets it be required.
function versionOf(name) {
    const file = path.join(process.env.NODE_PATH, name, 'package.json');
    return JSON.parse(fs.readFileSync(file, 'utf8')).version;
}

function addRoutes(app, store) {
    app.get('/versions', (request, response) => {
        const names = ['express', 'express-session'].map((name) => `${name} ${versionOf(name)}`);
        const client = clientName.startsWith('ioredis') ? 'ioredis' : 'node-redis';
        response.send(`${client} ${versionOf(clientName)}\n`
            + `${names.join(', ')}, connect-redis ${versionOf(storeName)}`);
    });
    // A login gets an id of its own, and is answered when it is stored.
    app.post('/login', (request, response, next) => {
        request.session.regenerate((error) => {
            if (error) {
                return next(error);
            }
            request.session.user = request.query.user;
            request.session.count = 0;
            return request.session.save((failure) => failure ? next(failure)
                : response.send(request.session.user));
        });
    });
    app.get('/whoami', (request, response) => {
        response.send(request.session.user || 'nobody');
    });
    app.post('/count', (request, response) => {
        request.session.count += 1;
        response.send(String(request.session.count));
    });
    app.post('/logout', (request, response, next) => {
        request.session.destroy((error) => error ? next(error) : response.send('bye'));
    });
    // What the store can do with all its sessions at once.
    app.get('/users', (request, response, next) => {
        store.ids((error, ids) => error ? next(error) : store.all((failure, sessions) => failure
            ? next(failure)
            : response.json({ ids, users: sessions.map((one) => one.user) })));
    });
    app.post('/forget-all', (request, response, next) => {
        store.clear((error) => error ? next(error) : response.send('done'));
    });
    app.use((error, request, response, _next) => {
        response.status(503).send(error.message);
    });
}

async function main() {
    const client = await connect();
    const exported = require(storeName);
    const RedisStore = exported.RedisStore || exported.default;
    const store = new RedisStore({ client });
    const app = express();
    app.use(session({
        store,
        secret: 'of a test',
        resave: false,
        saveUninitialized: false,
        cookie: { maxAge: Number(process.env.TTL_S) * 1000 },
    }));
    addRoutes(app, store);
    const server = app.listen(0, '127.0.0.1', () => {
        console.error(`listening listen=127.0.0.1:${server.address().port}`);
    });
    process.on('SIGTERM', () => process.exit(0));
}

main();
