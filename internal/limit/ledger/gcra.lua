-- Takes calls of a limit by the generic cell rate algorithm, as many as are wanted and left.
-- KEYS[1]  holds the time at which the limit is whole again, in microseconds since an epoch
-- ARGV     calls of the limit; its window in microseconds; calls wanted; calls that were taken
--          before and not used, and what KEYS[1] held then; and the time, by which only tests
--          go: otherwise it is this server's, so that no node's clock matters
-- Returns  how many calls were taken; after how many microseconds the limit is whole again; KEYS[1]
local calls, window, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[6])
if not now then
  local time = redis.call('TIME')
  -- From an epoch of our own: a number of Lua then has room for fractions of a microsecond.
  now = (time[1] - 1600000000) * 1000000 + time[2]
end
local step = window / calls
local whole = tonumber(redis.call('GET', KEYS[1]) or '') or now
-- Later than a window from now can only come from a clock that was set back, or from a limit
-- that was changed: nothing is left.
whole = math.min(math.max(whole, now), now + window)
-- Calls that come back count unless the limit was whole since they were taken: time gave them back then.
if now < tonumber(ARGV[5]) then
  whole = math.max(whole - tonumber(ARGV[4]) * step, now)
end
local taken = math.min(want, math.floor((now + window - whole) / step + 0.001))
whole = whole + taken * step
local held = string.format('%.3f', whole)
if whole > now then
  -- A minute longer than it is needed, in case that the clock is set back.
  redis.call('SET', KEYS[1], held, 'PX', math.ceil(window / 1000) + 60000)
end
return {taken, math.ceil(whole - now), held}
