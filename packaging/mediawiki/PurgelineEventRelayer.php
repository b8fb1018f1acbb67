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
//     'queue' => false,     // true: what was not taken becomes a job, and is tried again
//   ];
//   $wgJobBackoffThrottling['cdnPurge'] = 1;   // with 'queue': one of those jobs a second
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
			$status = $this->post( json_encode( array_map( [ $this, 'toEvent' ], $chunk ),
				JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR ) );
			$done = $done && $status === 201;
			if ( in_array( $status, self::RETRIED ) && ( $this->params['queue'] ?? false ) ) {
				$this->tryLater( array_column( $chunk, 'url' ) );
			}
		}
		return $done;
	}

	/** MediaWiki's own job: it purges these URLs when it runs, and so comes here again. */
	private function tryLater( array $urls ): void {
		MediaWiki\MediaWikiServices::getInstance()->getJobQueueGroup()
			->lazyPush( new CdnPurgeJob( [ 'urls' => $urls ] ) );
	}

	/** The moment of the change in microseconds, as MediaWiki passes it on, becomes the event's. */
	private function toEvent( array $event ): array {
		$moment = $event['timestamp'] ?? microtime( true );
		// MediaWiki says /images/... for files on its own host.
		$uri = wfExpandUrl( $event['url'], PROTO_INTERNAL );
		$meta = [ 'uri' => $uri, 'stream' => $this->params['stream'] ?? 'resource-purge',
			'dt' => DateTime::createFromFormat( 'U.u', sprintf( '%.6F', $moment ) )
				->format( 'Y-m-d\TH:i:s.u\Z' ) ];
		return [ '$schema' => '/resource_change/1.0.0', 'meta' => $meta, 'tags' => [ 'mediawiki' ] ];
	}

	/** @return int The last answer's status; 0 when there was none. */
	private function post( string $body ): int {
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
		return $status;
	}
}
