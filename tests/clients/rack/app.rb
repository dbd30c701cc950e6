# Rack with redis-rack. In the environment: STORE (HOST:PORT), TTL_S.

require 'rack'
require 'rack/session/redis'
require 'rack/handler/webrick'

STDERR.sync = true

def answer(env)
  request = Rack::Request.new(env)
  session = env['rack.session']
  case request.path
  when '/versions'
    "redis-rb #{Redis::VERSION}\nRack #{Rack.release[/\d+\.\d+/]}, " \
      "redis-rack #{Gem.loaded_specs['redis-rack']&.version || Redis::Rack::VERSION}"
  when '/login'
    # A login gets an id of its own.
    env['rack.session.options'][:renew] = true
    session['count'] = 0
    session['user'] = request.params['user']
  when '/whoami'
    session['user'] || 'nobody'
  when '/count'
    (session['count'] += 1).to_s
  when '/logout'
    session.destroy
    'bye'
  end
end

sessions = Rack::Session::Redis.new(
  ->(env) { [200, { 'Content-Type' => 'text/plain' }, [answer(env)]] },
  redis_server: "redis://#{ENV.fetch('STORE')}/0/rack:session",
  expire_after: ENV.fetch('TTL_S').to_i
)
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: 0, AccessLog: [],
                                 Logger: WEBrick::Log.new(File::NULL))
server.mount('/', Rack::Handler::WEBrick, sessions)
trap('TERM') { server.shutdown }
warn "listening listen=127.0.0.1:#{server.config[:Port]}"
server.start
