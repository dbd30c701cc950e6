// A small shop in Express that measures what the cart does, by the same names, units and dimensions: see
// ../cart/metrics.h and ../../docs/app-metrics.md. It writes one line for each request, with the request's id and
// path as properties, which is how the official library is meant to be used.
//
// In the environment: PORT (default 8090, 0 lets the system choose), SERVICE (default node-shop), and those of the
// library; AWS_EMF_ENVIRONMENT=Local writes to standard output.
'use strict';

const { createMetricsLogger, StorageResolution, Unit } = require('aws-embedded-metrics');
const express = require('express');
const { randomUUID } = require('crypto');

const NAMESPACE = 'MyApp/Fargate';
const DECLINED = '0002'; // how the cards end that the bank declines
const service = process.env.SERVICE || 'node-shop';
const users = new Set(); // in a real service: the store

// Every line has these: a counter that is written when it is 0 keeps an alarm from missing data.
const COUNTERS = ['http_5xx_errors', 'user_signup_total', 'payment_failure_count'];

const now = () => performance.now();

// Begins a line when the request comes and writes it when it is answered.
function measure(request, response, next) {
    const began = now();
    const line = createMetricsLogger();
    line.setNamespace(NAMESPACE);
    line.setDimensions({ ServiceName: service });
    line.setProperty('RequestId', request.get('X-Request-Id') || randomUUID());
    line.setProperty('Path', request.path);
    const counts = Object.fromEntries(COUNTERS.map((name) => [name, 0]));
    request.measured = { line, counts };
    response.on('close', () => {
        const latency = now() - began;
        counts.http_5xx_errors = response.statusCode >= 500 ? 1 : 0;
        put(line, 'RequestCount', 1, Unit.Count);
        put(line, 'http_request_count', 1, Unit.Count);
        put(line, 'Latency', latency, Unit.Milliseconds);
        put(line, 'request_latency_ms', latency, Unit.Milliseconds);
        COUNTERS.forEach((name) => put(line, name, counts[name], Unit.Count));
        line.flush().catch((error) => console.error(`metrics are lost: ${error.message}`));
    });
    next();
}

function put(line, name, value, unit) {
    line.putMetric(name, value, unit, StorageResolution.Standard);
}

// Stands for a call of the store; what matters is that its time is taken where it is made.
async function query(request, work) {
    const began = now();
    try {
        return await work();
    } finally {
        put(request.measured.line, 'db_query_duration_ms', now() - began, Unit.Milliseconds);
    }
}

const app = express();
app.use(measure, express.json({ limit: 4096 }));

app.get('/', (request, response) => {
    response.json({ status: 'ok' });
});

app.post('/api/signup', async (request, response) => {
    const email = String(request.body?.email ?? '');
    if (!/^[^@\s]+@[^@\s]+$/.test(email) || email.length > 254) {
        response.status(400).json({ error: 'bad_email' });
        return;
    }
    const isNew = await query(request, async () => !users.has(email) && Boolean(users.add(email)));
    request.measured.counts.user_signup_total = isNew ? 1 : 0;
    response.status(isNew ? 201 : 409).json(isNew ? { status: 'signed up' } : { error: 'signed_up' });
});

app.post('/api/checkout', (request, response) => {
    const card = String(request.body?.card ?? '');
    if (card.endsWith(DECLINED)) {
        request.measured.counts.payment_failure_count = 1;
        response.status(402).json({ error: 'payment_declined' });
        return;
    }
    response.json({ order_number: randomUUID() });
});

app.get('/fail', () => {
    throw new Error('on purpose, to see http_5xx_errors rise');
});

// The last one: what went wrong is for the log, not for the browser.
app.use((error, request, response, next) => {
    console.error(`${request.method} ${request.path}: ${error.message}`);
    response.status(error.status ?? 500).json({ error: error.status ? 'bad_request' : 'internal' });
});

const server = app.listen(Number(process.env.PORT ?? 8090), '127.0.0.1', () => {
    console.error(`listening listen=127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
});
