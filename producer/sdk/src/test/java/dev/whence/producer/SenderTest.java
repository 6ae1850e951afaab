package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.producer.DeliveryException.Reason;
import dev.whence.schemas.avro.LlmResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** With a producer whose answers come from the test's thread, as Kafka's come from its own. */
@Timeout(60)
class SenderTest {
  private static final String NOWHERE = "127.0.0.1:1";
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private static class Fake extends MockProducer<String, Object> {
    Fake() {
      super(
          /* autoComplete= */ false,
          /* partitioner= */ null,
          new StringSerializer(),
          (topic, response) -> new byte[0]);
    }

    List<String> sent() {
      return history().stream().map(ProducerRecord::key).toList();
    }
  }

  /** Aborts, on a thread of its own, what it has when it is closed. */
  private static class Aborter extends Fake {
    @Override
    public void close(Duration timeout) {
      CompletableFuture.runAsync(() -> errorNext(new KafkaException("closed by force"))).join();
      super.close(timeout);
    }
  }

  /** Takes a record, and then throws. */
  private static class Thrower extends Fake {
    /** What happens in between. */
    void taken() {}

    @Override
    public synchronized Future<RecordMetadata> send(
        ProducerRecord<String, Object> record, Callback callback) {
      var unused = super.send(record, callback);
      taken();
      throw new KafkaException("another request has failed");
    }
  }

  private final List<Fake> producers = new ArrayList<>(List.of(new Fake()));
  private final SendQueue queue = new SendQueue(1 << 20);
  private final Tally tally = new Tally();
  private final Sender sender =
      new Sender(
          ProducerSettings.of(
              Map.of("bootstrap.servers", NOWHERE),
              "http://" + NOWHERE,
              Map.of(),
              /* autoRegister= */ false,
              /* topicPrefix= */ "",
              "test"),
          queue,
          tally,
          new Losses(),
          () -> producers.remove(0));

  @AfterEach
  void close() {
    sender.close(Duration.ZERO);
  }

  @Test
  void aPermissionThatIsMissingIsWaitedForAndNothingIsLostOrChangesItsPlace() throws Exception {
    Fake kafka = producers.get(0);
    try (LogLines log = LogLines.of(Sender.class)) {
      List<Pending> all = List.of(offer("r-0"), offer("r-1"), offer("r-2"));
      sender.start();
      await().atMost(PATIENCE).until(() -> kafka.sent().size() == 3);
      long held = queue.heldBytes();
      for (int i = 0; i < 3; i++) {
        refuse(kafka);
      }

      await().atMost(PATIENCE).until(() -> kafka.sent().size() == 4);
      refuse(kafka);
      await().atMost(PATIENCE).until(() -> kafka.sent().size() == 5);
      assertThat(queue.heldBytes()).isEqualTo(held);
      assertThat(log.lines())
          .containsExactly("Responses wait in the queue: TopicAuthorizationException; trying on");
      assertThat(kafka.completeNext()).isTrue();
      await().atMost(PATIENCE).until(() -> kafka.sent().size() == 7);
      assertThat(kafka.completeNext()).isTrue();
      assertThat(kafka.completeNext()).isTrue();

      assertThat(all).allSatisfy(each -> assertThat(each.delivery()).succeedsWithin(PATIENCE));
    }
    // After the refusal one by one: the first alone, until it has passed.
    assertThat(kafka.sent()).containsExactly("r-0", "r-1", "r-2", "r-0", "r-0", "r-1", "r-2");
    assertThat(tally.delivered.sum()).isEqualTo(3);
    assertThat(tally.failed.sum()).isZero();
    assertThat(queue.heldBytes()).isZero();
  }

  @Test
  void whatIsRefusedWhileTheSdkClosesFailsAsClosed() throws Exception {
    Fake kafka = producers.get(0);
    Pending one = offer("r-0");
    sender.start();
    await().atMost(PATIENCE).until(() -> kafka.sent().size() == 1);
    queue.close();
    refuse(kafka);

    assertThat(one.delivery()).failsWithin(PATIENCE);
    assertThat(reasonOf(one.delivery())).isEqualTo(Reason.CLOSED);
    assertThat(queue.heldBytes()).isZero();
  }

  /** As after an earlier fatal error: Kafka's producer appends the record and then throws. */
  @Test
  void aSendThatThrowsAfterItTookTheRecordIsTriedAgainAndFailsNoFuture() throws Exception {
    producers.add(
        0,
        new Aborter() {
          @Override
          public synchronized Future<RecordMetadata> send(
              ProducerRecord<String, Object> record, Callback callback) {
            var unused = super.send(record, callback);
            throw new KafkaException("another request has failed");
          }
        });
    Fake next = producers.get(1);
    Pending one = offer("r-0");
    sender.start();
    await().atMost(PATIENCE).until(() -> next.sent().size() == 1);
    assertThat(one.delivery()).isNotDone();
    assertThat(next.completeNext()).isTrue();

    assertThat(one.delivery()).succeedsWithin(PATIENCE);
    assertThat(tally.delivered.sum()).isEqualTo(1);
    assertThat(tally.failed.sum()).isZero();
  }

  @Test
  void norIsItTriedAgainWhereItWasDeliveredBeforeSendThrew() throws Exception {
    producers.add(
        0,
        new Thrower() {
          @Override
          void taken() {
            assertThat(completeNext()).isTrue();
          }
        });
    Fake next = producers.get(1);
    Pending one = offer("r-0");
    Pending two = offer("r-1");
    sender.start();
    await().atMost(PATIENCE).until(() -> next.sent().size() == 1);

    assertThat(one.delivery()).succeedsWithin(PATIENCE);
    assertThat(next.sent()).containsExactly("r-1");
    assertThat(two.delivery()).isNotDone();
    assertThat(tally.delivered.sum()).isEqualTo(1);
  }

  /** As with a fatal error in another request: what the producer had in flight is aborted. */
  @Test
  void whatAReplacedProducerAbortsIsRefusedAndTold() throws Exception {
    producers.add(
        0,
        new Aborter() {
          @Override
          public synchronized Future<RecordMetadata> send(
              ProducerRecord<String, Object> record, Callback callback) {
            if (history().isEmpty()) {
              return super.send(record, callback);
            }
            throw new KafkaException("another request has failed");
          }
        });
    Fake next = producers.get(1);
    try (LogLines log = LogLines.of(Losses.class)) {
      Pending one = offer("r-0");
      Pending two = offer("r-1");
      sender.start();
      await().atMost(PATIENCE).until(() -> next.sent().size() == 1);

      assertThat(one.delivery()).failsWithin(PATIENCE);
      assertThat(reasonOf(one.delivery())).isEqualTo(Reason.REFUSED);
      await().atMost(PATIENCE).until(() -> !log.lines().isEmpty());
      assertThat(log.lines())
          .containsExactly(
              "1 responses are lost since the last such line: REFUSED (KafkaException): 1");
      assertThat(next.completeNext()).isTrue();
      assertThat(two.delivery()).succeedsWithin(PATIENCE);
    }
  }

  @Test
  void whatIsAbortedByClosingFailsAsClosed() throws Exception {
    Fake kafka = new Aborter();
    producers.add(0, kafka);
    Pending one = offer("r-0");
    sender.start();
    await().atMost(PATIENCE).until(() -> kafka.sent().size() == 1);

    assertThat(sender.close(Duration.ZERO)).isFalse();
    assertThat(one.delivery()).failsWithin(PATIENCE);
    assertThat(reasonOf(one.delivery())).isEqualTo(Reason.CLOSED);
  }

  @Test
  void aResponseThatCanNotBeSentFailsAloneAndTheSendingGoesOn() throws Exception {
    Fake kafka = producers.get(0);
    LlmResponse broken = response("broken");
    broken.put(LlmResponse.getClassSchema().getField("traceparent").pos(), null);
    Pending one = offer(broken);
    Pending two = offer("fine");
    sender.start();
    await().atMost(PATIENCE).until(() -> kafka.completeNext());

    assertThat(two.delivery()).succeedsWithin(PATIENCE);
    assertThat(reasonOf(one.delivery())).isEqualTo(Reason.INVALID);
    assertThat(kafka.sent()).containsExactly("fine");
  }

  private Pending offer(String id) throws InterruptedException {
    return offer(response(id));
  }

  private static LlmResponse response(String id) {
    return new LlmResponseBuilder().responseId(id).user("q").answer("a", "stop").build();
  }

  private Pending offer(LlmResponse response) throws InterruptedException {
    Pending pending = new Pending(response, 100);
    assertThat(queue.offer(pending, Duration.ZERO)).isEqualTo(SendQueue.Offer.ACCEPTED);
    return pending;
  }

  private static void refuse(Fake kafka) {
    assertThat(kafka.errorNext(new TopicAuthorizationException("responses"))).isTrue();
  }

  private static Reason reasonOf(CompletableFuture<Delivery> delivery) {
    try {
      throw new AssertionError("delivered: " + delivery.join());
    } catch (CompletionException e) {
      return ((DeliveryException) e.getCause()).reason();
    }
  }
}
