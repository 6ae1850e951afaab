package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.GroupProtocol;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.KafkaException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ClientsTest {
  @Test
  void anAdminThatGetsNoAnswerClosesSoon() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      Admin admin =
          new Clients(Connection.of("127.0.0.1:" + silent.getLocalPort(), "http://unused:1"))
              .admin();
      var unused = admin.describeCluster().clusterId();
      try (Socket asked = silent.accept()) {
        assertThat(asked.isConnected()).isTrue();
        long began = System.nanoTime();
        admin.close();
        assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(15));
      }
    }
  }

  @Test
  void aClientThatCanNotBeMadeNamesTheWrongSetting() {
    Clients clients = new Clients(Connection.of("a b", "http://unused:1"));
    for (Supplier<AutoCloseable> client :
        List.<Supplier<AutoCloseable>>of(
            clients::admin,
            () -> clients.reader("reader"),
            () -> clients.groupConsumer("group", GroupProtocol.CONSUMER, "member", 1),
            () -> clients.transactionalProducer("writer"))) {
      assertThatThrownBy(client::get)
          .isInstanceOf(KafkaException.class)
          .hasMessageContaining("bootstrap.servers: a b");
    }
  }
}
