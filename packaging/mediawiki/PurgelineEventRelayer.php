<?php

// Hands the URLs that MediaWiki wants purged to Purgeline's HTTP intake.
//
// In LocalSettings.php:
//   $wgUseCdn = true;
//   $wgAutoloadClasses['PurgelineEventRelayer'] = '/usr/share/purgeline/PurgelineEventRelayer.php';
//   $wgEventRelayerConfig['cdn-url-purges'] = [
//     'class' => PurgelineEventRelayer::class,
//     'url' => 'http://127.0.0.1:8192/v1/events',   // all of these have the values shown
//     'stream' => 'resource-purge',
//     'timeout' => 5,       // seconds, of one try
//     'tries' => 3,
//     'tokenFile' => null,  // needed when Purgeline is on another host: intake.http.token_file
//   ];
// Leave $wgCdnServers and $wgHTCPRouting empty: each would purge a second time.

class PurgelineEventRelayer extends EventRelayer {
	private const MAX_EVENTS = 1000;
	private const RETRIED = [ 0, 503, 504 ];
	private array $params;

	public function __construct( array $params ) {
		parent::__construct( $params );
		$this->params = $params;
		// In $wgDebugLogGroups the channel is called Purgeline.
		$this->setLogger( MediaWiki\Logger\LoggerFactory::getInstance( 'Purgeline' ) );
	}

	/** @return bool Whether all are on Purgeline's disk: it has answered 201 to each request. */
	protected function doNotify( $channel, array $events ) {
		$done = true;
		foreach ( array_chunk( $events, self::MAX_EVENTS ) as $chunk ) {
			$done = $this->post( json_encode( array_map( [ $this, 'toEvent' ], $chunk ),
				JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR ) ) && $done;
		}
		return $done;
	}

	/** The moment of the change in microseconds, as MediaWiki passes it on, becomes the event's. */
	private function toEvent( array $event ): array {
		$moment = $event['timestamp'] ?? microtime( true );
		$meta = [ 'uri' => $event['url'], 'stream' => $this->params['stream'] ?? 'resource-purge',
			'dt' => DateTime::createFromFormat( 'U.u', sprintf( '%.6F', $moment ) )
				->format( 'Y-m-d\TH:i:s.u\Z' ) ];
		return [ '$schema' => '/resource_change/1.0.0', 'meta' => $meta, 'tags' => [ 'mediawiki' ] ];
	}

	private function post( string $body ): bool {
		$headers = [ 'Content-Type: application/json', 'Expect:' ];
		if ( isset( $this->params['tokenFile'] ) ) {
			$headers[] = 'Authorization: Bearer ' . trim( file_get_contents( $this->params['tokenFile'] ) );
		}
		$status = 0;
		for ( $try = 1; $try <= ( $this->params['tries'] ?? 3 ); $try++ ) {
			$context = stream_context_create( [ 'http' => [ 'method' => 'POST', 'header' => $headers,
				'content' => $body, 'timeout' => $this->params['timeout'] ?? 5,
				'ignore_errors' => true ] ] );
			// Sent again it may stand in the log twice, which purges a page once more than needed.
			$answer = @file_get_contents(
				$this->params['url'] ?? 'http://127.0.0.1:8192/v1/events', false, $context );
			$status = $answer === false ? 0 : (int)explode( ' ', $http_response_header[0] )[1];
			if ( !in_array( $status, self::RETRIED ) ) {
				break;
			}
			usleep( 50000 * $try );
		}
		if ( $status !== 201 ) {
			$this->logger->error( 'Purgeline did not take purges: {status} {answer}',
				[ 'status' => $status, 'answer' => substr( (string)( $answer ?? '' ), 0, 500 ) ] );
		}
		return $status === 201;
	}
}
