package dev.whence.runtime.worker;

import static org.awaitility.Awaitility.await;

import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.junit.jupiter.api.Test;

/** Brokers that are looked at beside a library that polls. */
class BackgroundBrokerWatchTest {
  private static final Duration SOON = Duration.ofMillis(100);

  @Test
  void brokersThatDoNotAnswerAreSaidWithoutAnybodysLook() throws Exception {
    Health health = new Health();
    Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:1"));
    BackgroundBrokerWatch watch =
        new BackgroundBrokerWatch(admin, new BrokerWatch(admin, health, SOON, SOON), why -> {}, 10);
    try {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(
              () ->
                  health
                      .reasons()
                      .getOrDefault("brokers", "")
                      .startsWith("the brokers do not answer"));
    } finally {
      watch.close();
    }
    await()
        .atMost(Duration.ofSeconds(20))
        .until(
            () ->
                Thread.getAllStackTraces().keySet().stream()
                    .noneMatch(thread -> thread.getName().equals("whence-broker-watch")));
  }
}
