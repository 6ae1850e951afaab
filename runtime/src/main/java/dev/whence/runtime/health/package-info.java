/**
 * What a process says about itself: alive, ready, and in numbers. {@link
 * dev.whence.runtime.health.HealthServer} serves it over HTTP.
 */
package dev.whence.runtime.health;
